"""``jepa-coffea validate model.onnx [events.root]``: check that a model gives here what it gave at export."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, get_args

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jepa_coffea.constituents.record import LayoutError
from jepa_coffea.encoder.model_files import resolve
from jepa_coffea.encoder.onnx import OnnxEncoder
from jepa_coffea.encoder.providers import Provider
from jepa_coffea.encoder.self_test import validate
from jepa_coffea.files import printable


def configure(parser: argparse.ArgumentParser) -> None:
    """Give the parser this command's arguments.

    Parameters
    ----------
    parser
        Of the command.
    """
    parser.add_argument("model", help="ONNX file, or name of a shipped model")
    parser.add_argument("events", nargs="?", type=Path, help="ROOT or parquet file whose jets to embed as well")
    parser.add_argument("--provider", choices=get_args(Provider), default="auto", help="hardware")
    parser.add_argument("--device-id", type=int, default=0, help="which GPU")
    parser.add_argument("--collection", default="FatJet", help="jet collection of the events")
    parser.add_argument("--most", type=int, default=10_000, metavar="N", help="embed at most N entries of the file")


def run(arguments: argparse.Namespace) -> int:
    """Print the comparison.

    Parameters
    ----------
    arguments
        As :func:`configure` describes them.

    Returns
    -------
    int
        0 if all outputs agree and the jets of the file embed, else 1.

    Raises
    ------
    JepaCoffeaError
        If the model cannot be run, or the file not be read.
    """
    console = Console()
    encoder = OnnxEncoder(resolve(arguments.model), provider=arguments.provider, device_id=arguments.device_id)
    table = Table(
        "output",
        "jets",
        "difference",
        "tolerance",
        "",
        title=escape(printable(f"{encoder.card.name} on {encoder.provider}")),
    )
    agreements = validate(encoder)
    for item in agreements:
        verdict = "[green]agrees[/green]" if item.passed else "[red]DIFFERS[/red]"
        table.add_row(
            escape(printable(item.output)), str(item.jets), f"{item.relative:.1e}", f"{item.tolerance:.0e}", verdict
        )
    console.print(table)
    passed = all(item.passed for item in agreements)
    if arguments.events is not None:
        passed &= _embed(arguments, console)
    return 0 if passed else 1


def _embed(arguments: argparse.Namespace, console: Console) -> bool:
    """Embed the jets of the file and print what came out; whether any jet has an embedding."""
    import awkward as ak
    import numpy as np

    from jepa_coffea.embedding.embedder import JEPAEmbedder

    embedder = JEPAEmbedder(arguments.model, provider=arguments.provider, device_id=arguments.device_id)
    events = open_events(arguments.events, arguments.most)
    try:
        embedding = embedder.columns(events, collection=arguments.collection)["embedding"]
    except LayoutError as error:
        msg = f"{arguments.events}: {error}"
        raise LayoutError(msg) from None
    values = ak.to_numpy(ak.flatten(embedding, axis=1) if embedding.ndim == 3 else embedding)
    good = values[np.isfinite(values).all(axis=1)]
    counted = embedder.metrics()
    table = Table(show_header=False, title=escape(printable(arguments.events.name)), title_justify="left")
    rows = {
        "entries": len(events),
        "jets": counted["jets"],
        "without embedding (NaN)": len(values) - len(good),
        "  of these no particles": counted["empty"],
        "  of these a non-finite input": counted["non_finite"],
        "cut to the hardest particles": counted["truncated"],
        "particles": counted["particles"],
        "padding": f"{counted['padding'] / max(1, counted['particles']):.1%} of the particles",
        "micro-batches": counted["batches"],
        "jets per second": f"{counted['jets'] / max(counted['seconds'], 1e-9):,.0f}",
    }
    if len(good):
        rows["embedding"] = f"mean {good.mean():.3g}, standard deviation over jets {good.std(axis=0).mean():.3g}"
    for name, value in rows.items():
        table.add_row(name, str(value))
    console.print(table)
    return len(good) > 0 or counted["jets"] == counted["empty"]


def open_events(path: Path, most: int) -> Any:
    """The first entries of a file, with columns read when they are used.

    Parameters
    ----------
    path
        ROOT or parquet file of events or jets.
    most
        How many entries at most.

    Returns
    -------
    awkward.Array
        Without a schema: branches as they are called in the file.

    Raises
    ------
    LayoutError
        If the file cannot be read or has no tree of a known name.
    """
    from coffea.nanoevents import BaseSchema, NanoEventsFactory

    from jepa_coffea.constituents import layouts

    trees = dict.fromkeys(layout.tree for layout in layouts().values())
    options = {"schemaclass": BaseSchema, "mode": "virtual", "entry_start": 0}
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet

            stop = min(most, pyarrow.parquet.ParquetFile(path).metadata.num_rows)
            return NanoEventsFactory.from_parquet(str(path), entry_stop=stop, **options).events()
        import uproot

        with uproot.open({path: None}) as file:
            names = [name for name in trees if name in file]
            stop = min(most, file[names[0]].num_entries) if names else 0
            found = file.keys(cycle=False)
        if names:
            return NanoEventsFactory.from_root({str(path): names[0]}, entry_stop=stop, **options).events()
    except Exception as error:  # noqa: BLE001  readers raise what they like about broken files
        msg = f"{path}: cannot be read as events ({type(error).__name__}: {error})"
        raise LayoutError(msg) from None
    msg = f"{path}: expected a tree {' or '.join(trees)}, found {found}"
    raise LayoutError(msg)
