"""``jepa-coffea models``: the models that are shipped, and what their cards say that they reach."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jepa_coffea.commands.inspect import words
from jepa_coffea.encoder.card import read_card
from jepa_coffea.encoder.model_files import shipped
from jepa_coffea.files import printable


def configure(parser: argparse.ArgumentParser) -> None:
    """Give the parser this command's arguments, of which there are none.

    Parameters
    ----------
    parser
        Of the command.
    """
    parser.description = f"{parser.description}; their names can be used wherever a model's path can"


def run(arguments: argparse.Namespace) -> int:  # noqa: ARG001  as of all commands
    """Print one table per model.

    Parameters
    ----------
    arguments
        None are needed.

    Returns
    -------
    int
        0.
    """
    console = Console()
    for name, path in shipped().items():
        card = read_card(path)
        table = Table(title=escape(printable(name)), show_header=False, title_style="bold", title_justify="left")
        table.add_column(style="cyan")
        table.add_column(overflow="fold")
        rows = {
            "objective": card.objective,
            "embedding": f"{card.embedding_dim} numbers per jet",
            "classes": ", ".join(card.class_names) or "none",
            "scale of the jets": card.scale,
            "leakage of the dijet mass": str(card.mass_leakage or "not measured"),
            "particles": f"at most {card.max_particles} a jet",
            "precision": card.precision,
            "size": f"{path.stat().st_size / 1e6:.3g} MB",
            "training data": card.training_data,
        }
        for label, text in rows.items():
            table.add_row(label, escape(printable(text)))
        for label, value in card.results.items():
            table.add_row(escape(printable(f"reaches: {label}")), escape(printable(words(value))))
        console.print(table)
    return 0
