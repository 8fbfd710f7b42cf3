"""The public dijet spectrum of CMS through the whole statistics: function, spurious signal, limits, global p-value.

    python -m benchmarks.statistics.cms_dijets            # a minute on one core
    python -m benchmarks.statistics.cms_dijets --quick    # a tenth of the toys, nothing written

Six million events between 1530 and 8752 GeV (arXiv:1911.03947, HEPData ins1764471). Printed and written to
benchmarks/results/cms_dijets.json and cms_dijets_limits.png: which functions describe it, how much signal the nominal
one fakes, limits against mass and width with that counted, and what a hunt without windows finds, as it finds it: the
global p-value of masses and widths with that counted, and beside it the one as if nothing were faked.
"""

import argparse
import time
from dataclasses import replace
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.machine import ROOT, machine
from jepa_coffea.bumphunt import (
    SignalSystematics,
    f_test,
    fit_background,
    function_uncertainty,
    global_significance,
    mass_limits,
    scan,
    spurious_yields,
    width_limits,
)
from jepa_coffea.bumphunt.functions import FUNCTIONS
from jepa_coffea.bumphunt.records import write_json
from jepa_coffea.hunt.config import HuntConfig
from jepa_coffea.hunt.inclusive import mass_scan
from jepa_coffea.hunt.state import Run
from jepa_coffea.plots import Header, plot_limits, save

RESULTS = ROOT / "benchmarks" / "results"
CMS = ROOT / "tests" / "data" / "cms_dijets.csv"
PACKAGES = ("iminuit", "numpy", "scipy")
"""Whose versions the results name."""

LUMINOSITY = 137.0
"""1/fb."""

MASSES = np.arange(1800.0, 8001.0, 200.0)
"""GeV."""

WINDOW = (2037.0, 2438.0)
"""GeV; nearly a million events, the fit's error far below the functions' differences."""

WIDTHS = [0.03, 0.05, 0.1]
"""Of the peaks that are searched for, over their mass."""

SYSTEMATICS = SignalSystematics(luminosity=0.016, scale=0.02, resolution=0.1)
"""As in the published search."""


def read_spectrum() -> tuple[np.ndarray, np.ndarray]:
    """The published spectrum.

    Returns
    -------
    counts
        [bin]: events.
    edges
        [bin + 1], GeV.
    """
    table = np.loadtxt(CMS, delimiter=",")
    return table[:, 2], np.append(table[:, 0], table[-1, 1])


def measure(toys: int) -> tuple[dict[str, Any], Any]:
    """Everything, with its durations.

    Parameters
    ----------
    toys
        Of each goodness of fit, and a tenth of them of the limits at few events.

    Returns
    -------
    document
        What is written.
    curve
        The limits against mass.
    """
    data = read_spectrum()
    began = time.perf_counter()
    fits = {name: fit_background(data, name, toys=toys) for name in FUNCTIONS}
    document: dict[str, Any] = {
        "goodness": {
            name: {"deviance": fit.deviance, "ndof": fit.ndof, "p": fit.p_value} for name, fit in fits.items()
        },
        "f_test": f_test(data, toys=toys).function,
    }
    window = function_uncertainty(data, window=WINDOW, toys=toys)
    document["window"] = {
        "interval": WINDOW,
        "background": window.total,
        "fit_error": float(window.sigmas[0]),
        "function_error": window.error,
        "truths": window.truths,
    }
    spurious = spurious_yields(data, masses=MASSES, toys=toys)
    scans = [scan(data, MASSES, spurious=faked, toys=0) for faked in (None, spurious.events)]
    document["spurious"] = {
        "masses": MASSES,
        "ratios": spurious.ratios,
        "truths": [study.truth for study in spurious.studies],
        "rejected": spurious.rejected,
        "z": scans[0].z,
        "z_counted": scans[1].z,
    }
    document["seconds_functions"] = time.perf_counter() - began
    began = time.perf_counter()
    how: dict[str, Any] = {"systematics": SYSTEMATICS, "luminosity": LUMINOSITY}
    curve = mass_limits(data, MASSES, spurious=spurious.events, toys=toys // 2, **how)
    bare = mass_limits(data, MASSES, luminosity=LUMINOSITY)
    document["limits"] = {
        "masses": MASSES,
        "observed_fb": curve.cross_section,
        "expected_fb": curve.expected_cross_section,
        "methods": curve.methods,
        "expected_fb_without_nuisances": bare.expected_cross_section[:, 2],
    }
    widths = width_limits(data, 4000.0, [0.02, 0.03, 0.05, 0.08, 0.1, 0.15], **how)
    document["widths_at_4_tev"] = {"widths": widths.points, "expected_fb": widths.expected_cross_section}
    document["seconds_limits"] = time.perf_counter() - began
    began = time.perf_counter()
    document |= searched(data, toys)
    document["seconds_global"] = time.perf_counter() - began
    return document, curve


def searched(data: tuple[np.ndarray, np.ndarray], toys: int) -> dict[str, Any]:
    """What a hunt without windows finds in a spectrum.

    Parameters
    ----------
    data
        Counts and edges.
    toys
        Of the goodness of fit and of the global p-value.

    Returns
    -------
    dict
        ``global``: the global significance, the signal that the function may fake counted;
        ``global_as_if_nothing_were_faked``: that of the same scans without it.
    """
    counts, edges = data
    document = {
        "input": {"histogram": CMS},
        "output": RESULTS,
        "mass": {"windows": [], "bins": edges.tolist()},
        "statistics": {"function": "dijet3", "sqrt_s": 13000, "goodness_toys": toys},
        "signal": {"widths": WIDTHS},
    }
    config = HuntConfig.model_validate(document)
    _, _, searches = mass_scan(Run(config), counts, config.mass.build())
    kinds = {"global": searches, "global_as_if_nothing_were_faked": [replace(one, spurious=None) for one in searches]}
    found = {kind: global_significance([one], toys=toys, seed=config.seed) for kind, one in kinds.items()}
    return {
        kind: {**{name: value for name, value in one.to_dict().items() if name != "maxima"}, "sentence": one.sentence}
        for kind, one in found.items()
    }


def main() -> None:
    """Measure as the command line says, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the toys, nothing written")
    quick = parser.parse_args().quick
    document, curve = measure(200 if quick else 2000)
    console = Console(width=150)
    console.print(document)
    if quick:
        return
    RESULTS.mkdir(exist_ok=True)
    write_json(RESULTS / "cms_dijets.json", {"machine": machine(*PACKAGES), **document})
    note = "Gaussian signal, width 5 %; function's spurious signal,\nluminosity, scale and resolution as nuisances"
    picture = plot_limits(curve, note=note, header=Header("CMS data, own analysis", "137 fb$^{-1}$ (13 TeV)"))
    save(picture, RESULTS / "cms_dijets_limits.png")
    console.print(f"Written: {RESULTS / 'cms_dijets.json'}, {RESULTS / 'cms_dijets_limits.png'}")


if __name__ == "__main__":
    main()
