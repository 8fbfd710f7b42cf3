"""Which boosted trees find the most in a search: S / sqrt(B) by truth, beside scikit-learn's own trees.

    python -m benchmarks.statistics.boosting 'embedded/dataset=qcd/*.parquet' \\
        --signal wprime='embedded/dataset=wprime/*.parquet' --signal zz='embedded/dataset=zz/*.parquet'

Everything but the trees and the number of members is the default of a hunt, as in
:mod:`benchmarks.statistics.simulated`. All settings see the same events, folds and seeds: in each experiment background
that no other one has (drawn anew where it does not suffice) and signal events that no other one has. Their ratios are
printed and written to benchmarks/results/boosting.json.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console

from benchmarks.machine import ROOT, machine
from benchmarks.statistics.simulated import DOCUMENT, FromPool, method_of
from jepa_coffea.commands.command_line import Help
from jepa_coffea.cwola.classifiers import CLASSIFIERS
from jepa_coffea.cwola.recipe import Recipe
from jepa_coffea.cwola.sample import Sample
from jepa_coffea.cwola.trainer import train_window
from jepa_coffea.cwola.windows import WINDOW
from jepa_coffea.files import write_text
from jepa_coffea.hunt.config import HuntConfig
from jepa_coffea.hunt.events import read_events
from jepa_coffea.progress import counted

LARGE = {"max_leaf_nodes": 31, "l2_regularization": 0.0}
SETTINGS: dict[str, dict[str, Any]] = {
    "100 of 31 leaves": {"max_iter": 100, **LARGE},
    "60 of 31 leaves": {"max_iter": 60, **LARGE},
    "100 of 8 leaves": {"max_iter": 100},
    "60 of 8 leaves": {},
    "40 of 8 leaves": {"max_iter": 40},
    "100 of 4 leaves": {"max_iter": 100, "max_leaf_nodes": 4},
}
"""Options of the boosting by name; all are compared with the first, and no option is the default of a hunt."""


def events_of(glob: str) -> Sample:
    """Events in the fit range, each with weight 1.

    Parameters
    ----------
    glob
        Of embedded events.

    Returns
    -------
    Sample
    """
    config = HuntConfig.model_validate({**DOCUMENT, "input": {"events": [glob]}, "output": "none"})
    sample = read_events([glob], config).sample
    return replace(sample, weights=np.ones(len(sample.mass)))


def selected(
    data: Sample, truth: npt.NDArray[np.bool_], recipe: Recipe, efficiencies: Sequence[float]
) -> list[tuple[int, int]]:
    """Events that are selected in the window.

    Parameters
    ----------
    data, truth
        Events, and which are signal.
    recipe
        What to train.
    efficiencies
        Of the sidebands.

    Returns
    -------
    list of (int, int)
        Of signal and of background, for each efficiency.
    """
    scores = train_window(0, data, recipe).scores
    inside = recipe.windows.windows[0].region(data.mass) == WINDOW
    passed = [scores.selected(efficiency) & inside for efficiency in efficiencies]
    return [(int(np.count_nonzero(truth & one)), int(np.count_nonzero(~truth & one))) for one in passed]


def compared(counts: Mapping[str, Sequence[Sequence[int]]]) -> dict[str, dict[str, float]]:
    """Every setting beside the first.

    Parameters
    ----------
    counts
        By setting, for every experiment the selected events of signal and background.

    Returns
    -------
    dict
        By setting the geometric mean of the ratios of (S + 1/2) / sqrt(B + 1/2), its relative ``error``, and how often
        it is ``better`` and ``worse``.
    """
    merit = {}
    for name, rows in counts.items():
        signal, background = np.array(rows, float).T
        merit[name] = np.log(signal + 0.5) - np.log(background + 0.5) / 2
    first = next(iter(merit.values()))
    return {
        name: {
            "ratio": float(np.exp(np.mean(values - first))),
            "error": float(np.std(values - first, ddof=1) / np.sqrt(len(first))),
            "better": int(np.count_nonzero(values > first)),
            "worse": int(np.count_nonzero(values < first)),
        }
        for name, values in merit.items()
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=Help)
    parser.add_argument("background", help="glob of embedded events without signal")
    parser.add_argument("--signal", action="append", required=True, metavar="NAME=GLOB", help="embedded signal events")
    parser.add_argument("--events", type=int, default=20_000, help="background of an experiment, in the fit range")
    parser.add_argument("--amounts", type=int, nargs="+", default=[100, 200], help="signal events of an experiment")
    parser.add_argument("--slices", type=int, default=4, help="experiments for each signal and amount")
    parser.add_argument("--members", type=int, default=4, help="classifiers that are averaged")
    options = parser.parse_args()
    pool = events_of(options.background)
    signals = {name: events_of(glob) for name, glob in (one.split("=", 1) for one in options.signal)}
    config = HuntConfig.model_validate({**DOCUMENT, "input": {"events": [options.background]}, "output": "none"})
    recipe = replace(method_of(config).recipe, members=options.members)
    tasks = [
        (number, name, amount) for number in range(options.slices) for name in signals for amount in options.amounts
    ]
    counts: dict[str, dict[str, list[tuple[int, int]]]] = {
        f"{amount} signal events, efficiency {efficiency:g}": {name: [] for name in SETTINGS}
        for amount in options.amounts
        for efficiency in config.efficiencies
    }
    console = Console(stderr=True)
    for number, name, amount in counted(
        tasks, len(tasks), "Experiments", console, size=lambda _: 1, unit="experiments"
    ):
        background = FromPool(pool, options.events, options.slices, config.seed).data(number)
        data = background.joined(FromPool(signals[name], amount, options.slices, config.seed).data(number))
        truth = np.arange(len(data.mass)) >= len(background.mass)
        seeded = replace(recipe, folds=replace(recipe.folds, seed=number), seed=number)
        for setting, trees in SETTINGS.items():
            candidates = {"gradient_boosting": CLASSIFIERS["gradient_boosting"](**trees)}
            found = selected(data, truth, replace(seeded, candidates=candidates), config.efficiencies)
            for efficiency, events in zip(config.efficiencies, found, strict=True):
                counts[f"{amount} signal events, efficiency {efficiency:g}"][setting].append(events)
    result = {what: compared(of) for what, of in counts.items()}
    for what, of in result.items():
        print(what)
        for setting, one in of.items():
            print(
                f"    {setting:18} {one['ratio']:.3f} +- {one['ratio'] * one['error']:.3f}  better {one['better']:2}, "
                f"worse {one['worse']:2} of {options.slices * len(signals)}"
            )
    about = {name: getattr(options, name) for name in ("events", "amounts", "slices", "members")}
    path: Path = ROOT / "benchmarks" / "results" / "boosting.json"
    write_text(path, json.dumps({**about, "signals": list(signals), "settings": SETTINGS, "result": result,
                                 "counts": counts, "machine": machine("numpy", "scikit-learn")}, indent=1))  # fmt: skip
    print(f"written: {path}")


if __name__ == "__main__":
    main()
