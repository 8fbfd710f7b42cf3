"""``jepa-coffea embed hunt.yaml``: embed the events that the document names, on the cluster that it names."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from jepa_coffea.clusters.batch import BatchError
from jepa_coffea.constituents.record import LayoutError, UnreadableError
from jepa_coffea.encoder.card import ModelError
from jepa_coffea.encoder.providers import ProviderError
from jepa_coffea.errors import BadFileError
from jepa_coffea.processing.embed_config import EmbedConfigError, read_embed_config
from jepa_coffea.processing.run import LostEventsError
from jepa_coffea.processing.run import run as run_processor
from jepa_coffea.processing.run_report import report

REFUSALS = (
    EmbedConfigError,
    BadFileError,
    LostEventsError,
    BatchError,
    LayoutError,
    UnreadableError,
    ModelError,
    ProviderError,
)
"""What a run raises, with its reason, when it cannot be done as described."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.add_argument("document", help="YAML document with a section 'embed'; paths in it are relative to it")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run(arguments: argparse.Namespace) -> int:
    """Embed; 0 when every event is accounted for, 1 when files or chunks were skipped, 2 when it cannot be done."""
    try:
        config = read_embed_config(arguments.document)
        fileset, processor = config.fileset(), config.processor()
        with config.connect(processor.embedder.path) as client:
            output = run_processor(
                processor,
                fileset,
                client=client,
                treename=config.treename or config.layout.tree,
                schema=config.layout.schema_class(),
                chunksize=config.chunksize,
                skipbadfiles=config.skip_bad_files,
                checkpoints=config.checkpoints,
                progress=not arguments.quiet,
            )
    except REFUSALS as error:
        print(f"jepa-coffea embed: {error}", file=sys.stderr)
        return 2
    console = Console()
    for table in report(output):
        console.print(table)
    console.print(f"Embedded events are in {config.output}", highlight=False)
    return 1 if output["run"]["skipped_files"] or output["run"]["skipped_chunks"] else 0
