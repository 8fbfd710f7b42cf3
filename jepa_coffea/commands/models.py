"""``jepa-coffea models``: the models that are shipped, and what their cards say that they reach."""

from __future__ import annotations

import argparse

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jepa_coffea.encoder.card import ModelCard, read_card
from jepa_coffea.encoder.model_files import shipped
from jepa_coffea.files import printable

LABELS = 100
"""Labelled jets per class with which the models are compared."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Give the parser this command's arguments, of which there are none.

    Parameters
    ----------
    parser
        Of the command.
    """
    parser.description = f"{parser.description}; their names can be used wherever a model's path can"


def run(arguments: argparse.Namespace) -> int:  # noqa: ARG001  as of all commands
    """Print one line per model.

    Parameters
    ----------
    arguments
        None are needed.

    Returns
    -------
    int
        0.
    """
    columns = ("name", "learned by", "numbers", "classes", "scale", "accuracy")
    table = Table(*columns, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.columns[2].justify = table.columns[3].justify = "right"
    for name, path in shipped().items():
        card = read_card(path)
        classes = str(len(card.class_names) or "")
        cells = (name, card.objective, str(card.embedding_dim), classes, card.scale, frozen_accuracy(card))
        table.add_row(*(escape(printable(cell)) for cell in cells))
    console = Console()
    console.print(table)
    console.print(
        "Numbers: of each jet. Scale: blind models are not told pT and masses in GeV, as searches in a mass want it.\n"
        f"Accuracy: of a linear classifier on the frozen embedding, ten classes of simulated jets, {LABELS} labelled "
        "jets of each. Models of different studies were judged on different jets.\n"
        "jepa-coffea inspect NAME says more: training data, classes, all results.",
        highlight=False,
    )
    return 0


def frozen_accuracy(card: ModelCard) -> str:
    """Accuracy of a linear classifier on the embedding as it comes out of the file.

    Parameters
    ----------
    card
        Of the model.

    Returns
    -------
    str
        With 100 labels per class, and its spread where that is known; empty where the card does not say it.
    """
    for title, found in card.results.items():
        kind, _, rest = title.partition(", ")
        if kind != "frozen" or not isinstance(found, dict) or (rest and not rest.endswith(f"scale {card.scale}")):
            continue
        value = found.get(f"accuracy, {LABELS} labels per class")
        spread = found.get(f"spread at {LABELS}")
        if value is None and card.results.get("labels_per_class") == LABELS:
            value, spread = found.get("accuracy"), found.get("accuracy_spread")
        if value is not None:
            return f"{value:.3f}" + ("" if spread is None else f" ± {spread:.3f}")
    return ""
