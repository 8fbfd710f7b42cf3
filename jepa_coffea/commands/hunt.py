"""``jepa-coffea hunt hunt.yaml``: run the hunt that a YAML document describes."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from jepa_coffea.clusters.registry import ClusterConfig
from jepa_coffea.files import printable
from jepa_coffea.hunt.config import read_config
from jepa_coffea.hunt.energy import with_energy
from jepa_coffea.hunt.histogram import with_own_edges, with_signal
from jepa_coffea.hunt.pipeline import run_hunt
from jepa_coffea.hunt.state import HuntResult, Run
from jepa_coffea.report.excess_section import SCAN_COLUMNS, scan_rows
from jepa_coffea.report.html import with_error
from jepa_coffea.report.hunt_report import write_hunt_report


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments.

    Parameters
    ----------
    parser
        Of the sub-command.
    """
    parser.add_argument("document", help="YAML document of the hunt; paths in it are relative to it")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run(arguments: argparse.Namespace) -> int:
    """Hunt.

    Parameters
    ----------
    arguments
        Of the command line.

    Returns
    -------
    int
        0 when the result may be quoted, 1 when a check forbids it.
    """
    result = hunt(arguments.document, progress=not arguments.quiet)
    return 1 if result.reasons else 0


def hunt(
    document: str | Path, *, progress: bool = True, console: Console | None = None, here: bool = False
) -> HuntResult:
    """Run the hunt of a YAML document, print what was found and where it is.

    Parameters
    ----------
    document
        Its path.
    progress
        Show progress bars.
    console
        Where to print; standard output by default.
    here
        Compute in this process, on whatever cluster the document says.

    Returns
    -------
    HuntResult

    Raises
    ------
    JepaCoffeaError
        If the hunt cannot be done as described.
    """
    config = with_signal(with_energy(with_own_edges(read_config(document))))
    console = console or Console()
    with (ClusterConfig() if here else config.cluster).connect() as client:
        given = Run(config, client, console, progress)
        result = write_hunt_report(given, run_hunt(given))
    table = (_blind_table if result.sensitivity else _table if result.scan is None else _scan_table)(result)
    if table.row_count:
        console.print(table)
    console.print(result.paragraph, style="bold red" if result.reasons else "bold", highlight=False, markup=False)
    console.print(printable(f"Everything is in {result.output}"), highlight=False, markup=False)
    return result


def _table(result: HuntResult) -> Table:
    """All selections: counted, expected, Z and p, before and after calibration."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("window", "eff.", "observed", "expected", "uncal. Z", "p", "corrected Z", "p"):
        table.add_column(name, justify="left" if name == "window" else "right", no_wrap=True)
    for finding in result.everything:
        selection, estimate = finding.selection, finding.selection.by(result.background)
        corrected = finding.calibrated(result.background)
        table.add_row(
            selection.window,
            "all" if selection.efficiency == 1 else f"{selection.efficiency:g}",
            str(selection.n),
            with_error(estimate.b, estimate.sigma_b, 1),
            "-" if estimate.problem else f"{estimate.z:.2f}",
            "-" if estimate.problem else f"{estimate.p:.2g}",
            with_error(corrected.z, corrected.z_error) if corrected else "",
            f"{corrected.p:.2g}" if corrected else "",
        )
    return table


def _scan_table(result: HuntResult) -> Table:
    """Of a hunt without windows: the largest excess for each width."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in SCAN_COLUMNS:
        table.add_column(name, justify="left" if name == "peak" else "right", no_wrap=True)
    for width, mass, signal, z, p in scan_rows(result):
        table.add_row(width, f"{mass:.4g}", signal, f"{z:.2f}", f"{p:.2g}")
    return table


def _blind_table(result: HuntResult) -> Table:
    """All selections of a blind hunt: expected background, what a signal would be worth, expected limit."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("window", "eff.", "expected", "of signal", "expected Z", "expected limit"):
        table.add_column(name, justify="left" if name == "window" else "right", no_wrap=True)
    for one in result.sensitivity:
        table.add_row(
            one.window,
            "all" if one.efficiency == 1 else f"{one.efficiency:g}",
            with_error(one.b, one.sigma_b, 1),
            "-" if one.problem else f"{one.signal:.1f}",
            "-" if one.problem else f"{one.expected_z:.2f}" + ("" if one.calibrated else " uncalibrated"),
            "-" if one.limit is None else f"{one.limit[2]:.1f}",
        )
    return table
