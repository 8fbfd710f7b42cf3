"""What the bump hunt's fits cost, and whether its p-values are right.

    python -m benchmarks.statistics.bumphunt            # about five minutes on one core
    python -m benchmarks.statistics.bumphunt --quick    # a tenth of it, to see that it runs

Three tables, printed and written to benchmarks/results/bumphunt.json with machine, versions and commit:

* the same toys fitted by this package's batched Newton steps and one by one by iminuit (``ExtendedBinnedNLL`` with the
  function's integral by the same quadrature, in the function's parameters and in this package's uncorrelated ones),
  what each toy costs, and how far the deviances are apart;
* calibration on background-only pseudo-data, every fit redone: local p0 of the mass scan, p of a masked window, and
  the global p (each pseudo-experiment gets toys of its own fit, which are refitted too), from dense to sparse spectra;
* global p of pyBumpHunter on the same windows and pseudo-data, whose toys are not refitted.
"""

import argparse
import io
import time
import warnings
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import numpy.typing as npt
from iminuit import Minuit, cost
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.machine import ROOT, machine
from jepa_coffea.bumphunt import (
    BackgroundFit,
    FitError,
    Gaussian,
    WindowSearch,
    as_spectrum,
    check_coverage,
    fit_background,
    global_significance,
    p_value,
    shape_search,
)
from jepa_coffea.bumphunt.functions import get_function, quadrature
from jepa_coffea.bumphunt.likelihood import fit_batch
from jepa_coffea.bumphunt.records import write_json
from jepa_coffea.plots import plot_calibration, save

Array = npt.NDArray[np.float64]

RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ("hist", "iminuit", "numpy", "scipy", "pyBumpHunter")
"""Whose versions the results name."""

EDGES = np.geomspace(1500, 6000, 41)
WINDOW = (float(EDGES[15]), float(EDGES[19]))
SQRT_S = 13000.0


def falling(events: float) -> Array:
    """[bin]: expected events of a three-parameter dijet spectrum.

    Parameters
    ----------
    events
        Their sum.

    Returns
    -------
    ndarray
        [bin].
    """
    mass, weights = quadrature(EDGES)
    shape = (weights * np.exp(get_function("dijet3").design(mass / SQRT_S) @ np.array([0, 10, 5, 0.2]))).sum(axis=1)
    return np.asarray(events * shape / shape.sum())


def one_by_one(fit: BackgroundFit, counts: Array, *, whitened: bool) -> float:
    """The deviance of one toy by iminuit's own cost function, starting from the fit that the toy was drawn from.

    whitened: in this package's uncorrelated coordinates; otherwise in the function's parameters, as it is usually done.

    Parameters
    ----------
    fit
        That the toy was drawn from.
    counts
        [bin].
    whitened
        In this package's uncorrelated coordinates; otherwise in the function's parameters, as it is usually done.

    Returns
    -------
    float
        At the minimum.
    """
    mass, weights = quadrature(EDGES)
    design = get_function(fit.function).design(mass / SQRT_S)
    if whitened:
        weights, design = weights * np.exp(design @ fit.parameters), design @ fit.transform

    def _cumulative(_: Array, parameters: Array) -> Array:
        return np.append(0, np.cumsum((weights * np.exp(design @ parameters)).sum(axis=1)))

    minuit = Minuit(
        cost.ExtendedBinnedNLL(counts, EDGES, _cumulative), 0 * fit.parameters if whitened else fit.parameters
    )
    minuit.migrad(ncall=20000)
    return float(minuit.fval)


def speed(toys: int) -> list[dict[str, Any]]:
    """Batched fits against iminuit, per function: cost per toy and agreement.

    Parameters
    ----------
    toys
        How many toys.

    Returns
    -------
    list of dict
        One row per function.
    """
    rows = []
    for function in ("dijet2", "dijet3", "dijet4"):
        expected = falling(20000)
        fit = fit_background((expected, EDGES), function, toys=0)
        pseudo = np.random.default_rng(0).poisson(expected, (toys, len(expected))).astype(float)
        start = time.perf_counter()
        batch = fit_batch(fit.model, pseudo)
        ours = (time.perf_counter() - start) / toys
        row: dict[str, Any] = {"function": function, "batched us/toy": 1e6 * ours}
        few = min(toys, 40)
        for name, whitened in (("iminuit", False), ("iminuit, whitened", True)):
            start = time.perf_counter()
            theirs = np.array([one_by_one(fit, counts, whitened=whitened) for counts in pseudo[:few]])
            cost_of_one = (time.perf_counter() - start) / few
            difference = theirs - batch.deviance[:few]
            row[f"{name} / batched"] = cost_of_one / ours
            row[f"{name}: deviance - ours, median"] = float(np.median(difference))
            row[f"{name}: smallest to largest"] = f"{difference.min():.2g} to {difference.max():.2g}"
        rows.append(row)
    return rows


def coverage(experiments: int, toys: int) -> tuple[list[dict[str, Any]], dict[str, Array]]:
    """Calibration tables of local and global p-values, and the null distributions of Z.

    Parameters
    ----------
    experiments
        How many pseudo-experiments.
    toys
        For each global p-value.

    Returns
    -------
    tuple
        Rows of the table, and the values of Z by name.
    """
    rows: list[dict[str, Any]] = []
    nulls: dict[str, Array] = {}
    for events, function in ((100000, "dijet3"), (10000, "dijet3"), (1000, "dijet2"), (300, "dijet2")):
        expected = falling(events)
        pseudo = np.random.default_rng(events).poisson(expected, (experiments, len(expected))).astype(float)
        masses = np.array([2000.0, 2400.0, 2800.0])
        data = as_spectrum((pseudo[0], EDGES))
        shape = shape_search(data, masses, signal=Gaussian(0.05), function=function)
        window = WindowSearch("window", data, function, SQRT_S, (WINDOW,))
        for name, z in (("scan at 2.4 TeV", shape.local_z(pseudo)[:, 1]), ("window", window.local_z(pseudo)[:, 0])):
            fitted = z[np.isfinite(z)]
            nulls[f"{name}, {events} events"] = fitted
            rows.append(row_of(name, events, check_coverage(p_value(fitted)), len(z) - len(fitted), fitted))
        p, failed = [], 0
        for row in track(pseudo[: experiments // 20], description=f"global p, {events} events", transient=True):
            try:
                p.append(global_significance([[shape_search((row, EDGES), function=function)]], toys=toys).p)
            except FitError:
                failed += 1
        rows.append(row_of("global p of the scan", events, check_coverage(p), failed, None))
    return rows, nulls


def row_of(name: str, events: int, table: Any, failed: int, z: Array | None) -> dict[str, Any]:
    """One line of the calibration table; ``z`` for those p-values that have a Z.

    Parameters
    ----------
    name
        Of the p-value.
    events
        In the spectrum.
    table
        From ``calibration``.
    failed
        Fits that failed.
    z
        [experiment], for those p-values that have a Z.

    Returns
    -------
    dict
        Name to number.
    """
    return {
        "p_value": name,
        "events": events,
        "experiments": table.experiments,
        "failed": failed,
        "width": None if z is None else float(z.std(ddof=1)),
        "p<0.1587": float(table.shares[1]),
        "p<0.0228": float(table.shares[2]),
        "p<0.0228 error": float(table.errors[2]),
        "kolmogorov_p": table.kolmogorov_p,
    }


def against_pybumphunter(experiments: int, toys: int) -> dict[str, Any]:
    """Mean global p and P(p < 0.1587) of both on background-only data; the windows are three bins wide.

    Parameters
    ----------
    experiments
        How many pseudo-experiments.
    toys
        For each global p-value.

    Returns
    -------
    dict
        Code to its numbers.
    """
    from pyBumpHunter import BumpHunter1D

    expected = falling(10000)
    windows = tuple((float(EDGES[i]), float(EDGES[i + 3])) for i in range(1, 26))
    ours, theirs = [], []
    for seed in track(range(experiments), description="pyBumpHunter", transient=True):
        counts = np.random.default_rng(seed).poisson(expected).astype(float)
        search = WindowSearch("windows", as_spectrum((counts, EDGES)), "dijet2", SQRT_S, windows)
        ours.append(global_significance([[search]], toys=toys, seed=seed).p)
        hunter = BumpHunter1D(
            rang=(EDGES[0], EDGES[-1]), bins=EDGES, width_min=3, width_max=3, npe=toys, nworker=1, seed=seed
        )
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            hunter.bump_scan(counts, search.null.expected, is_hist=True)
        theirs.append(float(hunter.global_Pval))
    return {
        name: {"mean_p": float(np.mean(p)), "p<0.1587": float((np.array(p) < 0.1587).mean()), "experiments": len(p)}
        for name, p in (("ours", ours), ("pyBumpHunter", theirs))
    }


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """Print a table.

    Parameters
    ----------
    title
        Above it.
    rows
        Of the table.
    """
    table = Table(*rows[0], title=title)
    for row in rows:
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()))
    Console(width=170).print(table)


def main() -> None:
    """Measure as the command line says, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the pseudo-experiments, nothing written")
    scale = 1 if parser.parse_args().quick else 10
    fits = speed(200 * scale)
    show("Background fits of toys", fits)
    table, nulls = coverage(200 * scale, 200)
    show("Background-only pseudo-experiments", table)
    hunters = against_pybumphunter(10 * scale, 200)
    show("Global p without signal: perfect is a mean of 0.5", [{"code": name, **row} for name, row in hunters.items()])
    if scale == 1:
        return
    document: dict[str, Any] = {"machine": machine(*PACKAGES)}
    document |= {"fits": fits, "calibration": table, "global_p": hunters}
    RESULTS.mkdir(exist_ok=True)
    write_json(RESULTS / "bumphunt.json", document)
    chosen = {name: z for name, z in nulls.items() if name.startswith("scan")}
    save(plot_calibration(chosen), RESULTS / "bumphunt_calibration.png")
    Console().print(f"Written: {RESULTS / 'bumphunt.json'}, {RESULTS / 'bumphunt_calibration.png'}")


if __name__ == "__main__":
    main()
