"""``jepa-coffea embed hunt.yaml``: embed the events that the document names, on the cluster that it names."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from jepa_coffea.files import printable
from jepa_coffea.files.yaml import read_yaml
from jepa_coffea.processing.embed_config import EmbedConfigError, read_embed_config
from jepa_coffea.processing.run import run as run_processor
from jepa_coffea.processing.run_report import report


def configure(parser: argparse.ArgumentParser) -> None:
    """Give the parser this command's arguments.

    Parameters
    ----------
    parser
        Of the command.
    """
    parser.add_argument("document", help="YAML document with a section 'embed'; paths in it are relative to it")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def _check_hunt(document: str) -> None:
    """Refuse a document whose hunt cannot be done, before its events are embedded for hours.

    Raises
    ------
    HuntError
        If sections beside ``embed`` are unknown or wrong. Without the extra ``hunt`` they are not looked at.
    """
    if set(read_yaml(Path(document), EmbedConfigError)) == {"embed"}:
        return
    try:
        from jepa_coffea.hunt.config import read_config
    except ModuleNotFoundError:
        return
    read_config(document)


def run(arguments: argparse.Namespace) -> int:
    """Embed.

    Parameters
    ----------
    arguments
        As :func:`configure` describes them.

    Returns
    -------
    int
        0 when every event is accounted for, 1 when files or chunks were skipped, or more than one in a hundred
        selected events has the identity of another one.

    Raises
    ------
    JepaCoffeaError
        If it cannot be done.
    """
    config = read_embed_config(arguments.document)
    _check_hunt(arguments.document)
    fileset, processor = config.fileset(), config.processor()
    with config.cluster.connect([processor.embedder.path]) as client:
        output = run_processor(
            processor,
            fileset,
            client=client,
            treename=config.treename or config.layout.tree,
            schema=config.layout.schema_class(),
            chunksize=config.chunksize,
            skipbadfiles=config.skipbadfiles,
            checkpoints=config.checkpoints,
            progress=not arguments.quiet,
        )
    console = Console()
    for table in report(output):
        console.print(table)
    console.print(printable(f"Embedded events are in {config.output}"), highlight=False, markup=False)
    done = output["run"]
    selected = sum(totals["selected"] for totals in output["bookkeeping"].values())
    repeated = 100 * sum(done["repeated_events"].values()) > selected
    return 1 if done["skipped_files"] or done["skipped_chunks"] or repeated else 0
