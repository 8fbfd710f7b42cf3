"""Embed dijet events on a Dask cluster of this machine: events to parquet, histograms to ROOT.

python examples/embed_events.py --model encoder.onnx --output embedded qcd='qcd_*.root' wprime=wprime.root

The same on a batch system: `clusters.slurm` or `clusters.htcondor` instead of `clusters.local`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hist
import uproot
from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, of which the wheel has a part

from jepa_coffea import JEPAEmbedder
from jepa_coffea.clusters import local
from jepa_coffea.commands.command_line import Parser
from jepa_coffea.errors import BadFileError
from jepa_coffea.files import find_files, quoted, replacing
from jepa_coffea.processing import DijetSelection
from jepa_coffea.processing.run import run
from jepa_coffea.processing.run_report import report
from processors.embed import EmbedProcessor


def write_histograms(output: dict[str, Any], path: Path) -> list[str]:
    """Write every histogram of ``mjj`` and ``score`` to a ROOT file.

    Parameters
    ----------
    output
        Of the processor.
    path
        Of the file, written whole or not at all.

    Returns
    -------
    list of str
        Their names in the file, ``dataset/region/name``; the dataset is quoted as its folder is.
    """
    found = {}
    for name in ("mjj", "score"):
        if name not in output:
            continue
        filled: hist.Hist = output[name]
        for dataset in filled.axes["dataset"]:
            for region in filled.axes["region"]:
                here = filled[{"dataset": dataset, "region": region, "systematic": "nominal"}]
                if name == "mjj":
                    found[f"{quoted(dataset)}/{region}/mjj"] = here
                    continue
                for label in here.axes["class"]:
                    for jet in (1, 2):
                        found[f"{quoted(dataset)}/{region}/jet{jet}_score_{label}"] = here[
                            {"class": label, "jet": hist.loc(jet)}
                        ]
    with replacing(path) as temporary, uproot.recreate(temporary) as file:
        for name, values in found.items():
            file[name] = values
    return list(found)


def main(arguments: Sequence[str] | None = None) -> None:
    """Embed the files of the command line.

    Parameters
    ----------
    arguments
        Words; default: those of this process.
    """
    parser = Parser(description=__doc__)
    parser.add_argument("files", nargs="+", metavar="DATASET=GLOB", help="name and files of each dataset")
    parser.add_argument("--model", required=True, metavar="ENCODER.onnx", help="file, or name of a shipped model")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--workers", type=int, help="processes (default: one per core)")
    parser.add_argument("--chunksize", type=int, default=20_000, help="events per chunk")
    parser.add_argument("--mjj", type=float, default=2000.0, help="smallest mass of the two leading jets, GeV")
    options = parser.parse_args(arguments)
    files: dict[str, list[str]] = {}
    for given in options.files:
        dataset, _, pattern = given.partition("=")
        try:
            files.setdefault(dataset, []).extend(find_files(pattern, f"dataset {dataset!r}"))
        except BadFileError as error:
            parser.error(f"{given}: expected DATASET=GLOB ({error})")
    selection = DijetSelection(mjj=options.mjj)
    processor = EmbedProcessor(JEPAEmbedder(options.model), output=options.output, selection=selection)
    with local(options.workers, models=[options.model]) as client:
        output = run(processor, files, client=client, chunksize=options.chunksize)
    console = Console()
    for table in report(output):
        console.print(table)
    names = write_histograms(output, options.output / "histograms.root")
    console.print(
        f"Embedded events and {len(names)} histograms (histograms.root) are in {options.output}", markup=False
    )


if __name__ == "__main__":
    main()
