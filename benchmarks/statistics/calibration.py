"""Whether the p-values of the whole pipeline are right, and what it costs to find out.

    python -m benchmarks.statistics.calibration searches   # 3000 whole searches, each calibrated by its own toys
    python -m benchmarks.statistics.calibration coverage   # fast classifier, thousands of retrained pseudo-experiments
    python -m benchmarks.statistics.calibration timing     # 200 with gradient boosting on 20 000 events x 64 features
    python -m benchmarks.statistics.calibration trees      # the same with features that are integers, 24 000 events
    python -m benchmarks.statistics.calibration coverage --experiments 300 --workers 1   # a quick look

``searches`` does what a hunt does, again and again: data without signal are generated, classifiers trained, events
selected and counted, pseudo-data made of these data alone, and the count corrected by some tens of retrained
pseudo-experiments of them. The corrected p-values, by function and by transfer factor, must be uniform.

``coverage`` calibrates with the pseudo-experiments of one set of data and checks that on newly generated data, for
cross-fitted folds and for folds in forward order. Everything is redone in each: folds, training, thresholds, fit.
``timing`` does the same work for gradient boosting with 30 iterations and 5 folds and divides.
``trees`` gives gradient boosting numbers of constituents and energies in whole GeV that grow with the mass: pseudo-data
whose integers were not integers any more, had another trend, or left a gap above the cut where they begin, would have
another mean Z than new data of the same truth.
Results go to benchmarks/results/calibration_*.json and .png.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
from distributed import Client, LocalCluster
from sklearn.naive_bayes import GaussianNB

from benchmarks.machine import ROOT, machine
from benchmarks.statistics.judgement import LEVELS, Floats, draw, judged, share_below, summary_of, without_lists
from benchmarks.statistics.toy_samples import WINDOWS, falling_spectrum, with_integers
from jepa_coffea import __version__
from jepa_coffea.bumphunt.ledger import Ledger
from jepa_coffea.cwola import Folds, Recipe
from jepa_coffea.cwola.classifiers import gradient_boosting, logistic
from jepa_coffea.cwola.folds import Order
from jepa_coffea.files import write_text
from jepa_coffea.hunt.calibration import calibrate, null_significances
from jepa_coffea.hunt.config import StatisticsConfig
from jepa_coffea.hunt.experiment import Method, run_experiment
from jepa_coffea.hunt.nominal import with_degrees
from jepa_coffea.hunt.null import Corrected, null_of
from jepa_coffea.hunt.pseudo import PseudoData, make_pseudo_data
from jepa_coffea.hunt.selections import ESTIMATES, FUNCTION, SIDEBAND_EFFICIENCY
from jepa_coffea.tasks import run_tasks

RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ("numpy", "scikit-learn", "iminuit", "distributed")
"""Whose versions the results name."""

STATISTICS = StatisticsConfig(sqrt_s=13000, function="dijet2", goodness_toys=0)
ORDERS: tuple[Order, ...] = get_args(Order)
"""Orders of the folds."""


def recipe(estimator: Any, *, order: Order = "cross") -> Recipe:
    """One classifier per fold that sees all features; the folds are dealt out anew in every experiment.

    Parameters
    ----------
    estimator
        The classifier.
    order
        Of the folds: ``cross`` or ``forward``.

    Returns
    -------
    Recipe
        For :func:`run_experiment`.
    """
    return Recipe(WINDOWS, {"": estimator}, Folds(order=order), members=1, attribute_fraction=1)


def fresh_experiment(number: int, method: Method) -> list[float]:
    """Z by each estimate of the background in newly generated data.

    Parameters
    ----------
    number
        Seed of the data.
    method
        What is done to them.

    Returns
    -------
    list of float
    """
    return [z for (z,) in run_experiment(falling_spectrum(3000, 4, number), method.seeded(number)).z()]


def whole_search(number: int, method: Method, toys: int) -> dict[str, list[float]]:
    """Newly generated data, calibrated by pseudo-experiments of themselves: raw Z, corrected Z and rank p.

    Parameters
    ----------
    number
        Seed of the data.
    method
        What is done to them.
    toys
        Pseudo-experiments of each.

    Returns
    -------
    dict
        Estimate to raw Z, corrected Z, rank p.
    """
    sample = falling_spectrum(3000, 4, number)
    data = run_experiment(sample, method.seeded(number)).selections
    null = null_significances(make_pseudo_data(sample, WINDOWS, STATISTICS), method, toys, seed=number)
    (selection,), null = with_degrees(data, null)
    (calibrated,) = calibrate([selection], null)
    found = {}
    for name, corrected in calibrated.items():
        if not isinstance(corrected, Corrected):
            raise TypeError(corrected)
        found[name] = [selection.estimates[name].z, corrected.z, corrected.rank_p]
    return found


def searches(experiments: int, client: Client | None, folder: Path, *, toys: int = 25) -> dict[str, Any]:
    """Whole searches in data without signal, each with ``toys`` pseudo-experiments of its own; those done are kept.

    Parameters
    ----------
    experiments
        How many pseudo-experiments.
    client
        Of Dask.
    folder
        Of the searches that are done.
    toys
        Pseudo-experiments of each.

    Returns
    -------
    dict
        What was done, and the judgement of both estimates.
    """
    method = Method(recipe(GaussianNB()), (0.1,), STATISTICS)
    folder.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(folder / f"searches-{__version__}-{toys}.jsonl")
    numbers = range(1, experiments + 1)
    found = ledger.run(whole_search, numbers, (method, toys), client=client, progress=True, description="Searches")
    result: dict[str, Any] = {"classifier": "naive Bayes", "experiments": experiments, "toys": toys}
    for estimate in ESTIMATES:
        raw, corrected, rank = np.array([one[estimate] for one in found]).T
        result[estimate] = {
            "raw": summary_of(raw),
            "corrected": summary_of(corrected),
            "rank": share_below(rank, 2.5 / (toys + 1)),
        }
        for name in ("raw", "corrected"):
            one = result[estimate][name]
            shares = [f"P({level}) = {one[level]['share']:.4f} ± {one[level]['error']:.4f}" for level in LEVELS]
            print(
                f"{estimate:19} {name:9}  mean {one['mean']:+.3f} ± {one['mean_error']:.3f}"
                f"   std(Z) = {one['std']:.3f} ± {one['std_error']:.3f}   {'   '.join(shares)}"
            )
    return result


def coverage(experiments: int, client: Client | None) -> dict[str, Any]:
    """Calibrate with pseudo-experiments of one set of data, check on new data, for both orders of the folds.

    Parameters
    ----------
    experiments
        How many pseudo-experiments.
    client
        Of Dask.

    Returns
    -------
    dict
        What was done, and the judgement of both kinds of folds.
    """
    pseudo = make_pseudo_data(falling_spectrum(3000, 4), WINDOWS, STATISTICS)
    result: dict[str, Any] = {"events": 3000, "features": 4, "classifier": "logistic", "efficiency": 0.1, "folds": 5}
    for order in ORDERS:
        method = Method(recipe(logistic(), order=order), (0.1,), STATISTICS)
        z, seconds = timed(pseudo, method, experiments, client)
        fresh = run_tasks(
            fresh_experiment,
            range(1, experiments + 1),
            (method,),
            client=client,
            progress=True,
            description="Validation: new data",
        )
        one, other = (
            judged(z[:, i, 0], np.array(fresh)[:, i]) for i in map(ESTIMATES.index, (FUNCTION, SIDEBAND_EFFICIENCY))
        )
        result[order] = {**one, "seconds": seconds, SIDEBAND_EFFICIENCY: without_lists(other)}
        raw, corrected, rank = (result[order][name] for name in ("raw", "corrected", "rank"))
        print(
            f"{order:8} {len(z)} experiments in {seconds:.0f} s, {len(fresh)} to check\n"
            f"   as counted  std(Z) = {raw['std']:.3f} ± {raw['std_error']:.3f}   "
            f"P(p < .0228) = {raw['share']:.4f} ± {raw['error']:.4f}\n"
            f"   corrected   std(Z) = {corrected['std']:.3f} ± {corrected['std_error']:.3f}   "
            f"P(p < .0228) = {corrected['share']:.4f} ± {corrected['error']:.4f}   by rank {rank['share']:.4f}"
        )
    return result


def timing(experiments: int, client: Client | None) -> dict[str, Any]:
    """Wall time of retrained gradient-boosting experiments, and std(Z) of what they give.

    Parameters
    ----------
    experiments
        How many pseudo-experiments.
    client
        Of Dask.

    Returns
    -------
    dict
        What was done, the seconds, and the widths by efficiency.
    """
    pseudo = make_pseudo_data(falling_spectrum(20_000, 64), WINDOWS, STATISTICS)
    method = Method(recipe(gradient_boosting(max_iter=30)), (0.1, 0.01), STATISTICS)
    z, seconds = timed(pseudo, method, experiments, client)
    nulls = [null_of(column) for column in z[:, ESTIMATES.index(FUNCTION)].T]
    print(f"{experiments} experiments (5 fits of 30 iterations on 16 000 x 64 each) in {seconds:.0f} s")
    for efficiency, null in zip(method.efficiencies, nulls, strict=True):
        print(f"   efficiency {efficiency:g}: std(Z) = {null.width:.3f} ± {null.width_error:.3f}, mean {null.mean:.3f}")
    return {
        "events": 20_000,
        "features": 64,
        "iterations": 30,
        "folds": 5,
        "experiments": experiments,
        "seconds": seconds,
        "std": {str(e): [n.width, n.width_error] for e, n in zip(method.efficiencies, nulls, strict=True)},
    }


def fresh_with_integers(number: int, method: Method, events: int) -> list[float]:
    """Z by each estimate of the background in newly generated data with integers.

    Parameters
    ----------
    number
        Seed of the data.
    method
        What is done to them.
    events
        How many.

    Returns
    -------
    list of float
    """
    return [z for (z,) in run_experiment(with_integers(events, number), method.seeded(number)).z()]


def trees(experiments: int, client: Client | None, events: int = 24_000) -> dict[str, Any]:
    """Z of pseudo-data and of new data without signal by both estimates, with trees and features that are integers.

    Parameters
    ----------
    experiments
        How many pseudo-experiments.
    client
        Of Dask.
    events
        How many events they are as large as.

    Returns
    -------
    dict
        What was done, the seconds, and mean and width by estimate in pseudo-data and in new data, which must agree.
    """
    pseudo = make_pseudo_data(with_integers(events), WINDOWS, STATISTICS)
    method = Method(recipe(gradient_boosting(max_iter=50)), (0.1,), STATISTICS)
    z, seconds = timed(pseudo, method, experiments, client)
    fresh = run_tasks(
        fresh_with_integers,
        range(1, experiments + 1),
        (method, events),
        client=client,
        progress=True,
        description="Validation: new data",
    )
    result: dict[str, Any] = {"events": events, "experiments": experiments, "seconds": seconds, "efficiency": 0.1}
    for number, estimate in enumerate(ESTIMATES):
        result[estimate] = {}
        for kind, column in (("pseudo-data", z[:, number, 0]), ("new data", np.array(fresh)[:, number])):
            null = null_of(column)
            result[estimate][kind] = {"mean": null.mean, "mean_error": null.mean_error, "std": null.width}
            result[estimate][kind]["std_error"] = null.width_error
            print(
                f"{estimate:20} {kind:12} mean Z = {null.mean:+.3f} ± {null.mean_error:.3f}   "
                f"std(Z) = {null.width:.3f} ± {null.width_error:.3f}"
            )
    print(f"{experiments} experiments of {events} events in {seconds:.0f} s")
    return result


def timed(pseudo: PseudoData, method: Method, experiments: int, client: Client | None) -> tuple[Floats, float]:
    """Z of the experiments and the seconds they took.

    Parameters
    ----------
    pseudo
        What is drawn from.
    method
        What is done to it.
    experiments
        How many pseudo-experiments.
    client
        Of Dask.

    Returns
    -------
    tuple
        Z [experiment, estimate and efficiency], and seconds.
    """
    start = time.perf_counter()
    z = null_significances(pseudo, method, experiments, seed=2024, client=client, progress=True)
    return z, time.perf_counter() - start


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["searches", "coverage", "timing", "trees"])
    parser.add_argument(
        "--experiments", type=int, help="per set; by default 3000 (searches, coverage), 200 (timing), 30 (trees)"
    )
    parser.add_argument("--workers", type=int, default=2, help="local processes, one thread each")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    experiments = (
        arguments.experiments or {"searches": 3000, "coverage": 3000, "timing": 200, "trees": 30}[arguments.what]
    )
    kept = partial(searches, folder=arguments.output)
    studies: dict[str, Callable[[int, Client | None], dict[str, Any]]]
    studies = {"searches": kept, "coverage": coverage, "timing": timing, "trees": trees}
    study = studies[arguments.what]
    if arguments.workers > 1:
        with (
            LocalCluster(n_workers=arguments.workers, threads_per_worker=1, dashboard_address=":0") as cluster,
            Client(cluster) as client,
        ):
            result = study(experiments, client)
    else:
        result = study(experiments, None)
    arguments.output.mkdir(parents=True, exist_ok=True)
    where = arguments.output / f"calibration_{arguments.what}"
    if arguments.what == "coverage":
        draw(result, where.with_suffix(".png"))
        result |= {order: without_lists(result[order]) for order in ORDERS}
    about = machine(*PACKAGES) | {"workers": arguments.workers}
    write_text(where.with_suffix(".json"), json.dumps({**result, "machine": about}, indent=1))
    print(f"written: {where}.json")


if __name__ == "__main__":
    main()
