"""Fermilab LPC: embed on its HTCondor pool through lpcjobqueue, from inside that package's container shell.

Batch nodes share no disk with the login nodes: lpcjobqueue ships the environment, the model is sent to every worker,
and embedded events go to EOS by xrootd (fsspec-xrootd).

    ./shell coffeateam/coffea-dask-almalinux8:latest
    pip install 'jepa-coffea[cpu]' fsspec-xrootd
    python lpc.py encoder.onnx root://cmseos.fnal.gov//store/user/me/embedded qcd=root://cmseos.fnal.gov//store/...root
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from distributed import Client
from rich.console import Console

from jepa_coffea import JEPAEmbedder
from jepa_coffea.clusters import ship_model
from jepa_coffea.commands.command_line import Parser
from jepa_coffea.processing import DijetEmbedder
from jepa_coffea.processing.run import run
from jepa_coffea.processing.run_report import report


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line.

    Parameters
    ----------
    arguments
        Words; default: those of this process.

    Returns
    -------
    argparse.Namespace
    """
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("model", help="ONNX file, or name of a shipped model")
    parser.add_argument("output", help="folder to write")
    parser.add_argument("files", nargs="+", metavar="DATASET=FILE", help="name and file of each dataset")
    parser.add_argument("--jobs", type=int, default=50, help="HTCondor jobs")
    parser.add_argument("--chunksize", type=int, default=20_000, help="events per chunk")
    return parser.parse_args(arguments)


def fileset(files: Sequence[str]) -> dict[str, list[str]]:
    """Words ``DATASET=FILE`` as a coffea fileset.

    Parameters
    ----------
    files
        The words.

    Returns
    -------
    dict
        Dataset to its files.
    """
    found: dict[str, list[str]] = {}
    for word in files:
        dataset, _, name = word.partition("=")
        found.setdefault(dataset, []).append(name)
    return found


def main(cluster: Any, options: argparse.Namespace) -> None:
    """Embed all files on a cluster.

    Parameters
    ----------
    cluster
        Of Dask.
    options
        Of :func:`parse`.
    """
    cluster.adapt(minimum_jobs=1, maximum_jobs=options.jobs)
    processor = DijetEmbedder(JEPAEmbedder(options.model), options.output)
    with Client(cluster) as client:
        ship_model(client, options.model)
        output = run(processor, fileset(options.files), client=client, chunksize=options.chunksize)
    for table in report(output):
        Console().print(table)


if __name__ == "__main__":
    words = parse()
    from lpcjobqueue import LPCCondorCluster

    main(LPCCondorCluster(ship_env=True, memory="4GB"), words)
