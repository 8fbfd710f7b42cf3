"""Injection study: signal of known size in pseudo-data, found by the search and, to compare, by other classifiers.

In each experiment the same events are judged by

* ``inclusive``: no classifier;
* ``cwola``: the hunt's own classifiers;
* ``cwola_observables``: the same classifiers on jet masses and tau ratios in place of its features;
* ``supervised``: trained on other signal events against other background events, the best that these features allow;
* ``iad``: the idealised anomaly detector, trained on the window's events against pure background of the window, the
  best without labels.

The background that the last two are given is made of other events than that of the data. All take their thresholds from
the sidebands of the same data, and are counted by the experiment's one door.

Classifiers that train on the data in folds widen Z (see :mod:`jepa_coffea.hunt.calibration`), each by its own amount,
and fits and thresholds shift it a little for all. So the Z of every method is corrected by its own Z in experiments of
the same kind in which no signal is put: other seeds, the same everything else. Limits have the background with which a
count has the corrected Z.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jepa_coffea.bumphunt.calibrated import calibrated_background
from jepa_coffea.bumphunt.ledger import Ledger
from jepa_coffea.bumphunt.limits.counting_limit import FEW, counting_limit
from jepa_coffea.bumphunt.significance import Constraint
from jepa_coffea.cwola.efficiency import SelectionError, WindowScores, without_scores
from jepa_coffea.cwola.merits import sic_curve
from jepa_coffea.cwola.recipe import Recipe
from jepa_coffea.cwola.sample import Sample
from jepa_coffea.cwola.windows import WINDOW
from jepa_coffea.hunt.calibration import toy_seed
from jepa_coffea.hunt.config import HuntError
from jepa_coffea.hunt.experiment import Method, run_experiment, train_or_say_why
from jepa_coffea.hunt.null import Null, null_of
from jepa_coffea.hunt.pseudo import PseudoData
from jepa_coffea.hunt.reference_classifiers import idealised_anomaly_detector, supervised
from jepa_coffea.hunt.selections import FUNCTION, Selection

Mask = npt.NDArray[np.bool_]

METHODS = ("inclusive", "cwola", "cwola_observables", "supervised", "iad")
LABELS = {
    "inclusive": "no classifier",
    "cwola": "CWoLa",
    "cwola_observables": "CWoLa on masses and tau ratios",
    "supervised": "supervised",
    "iad": "idealised (IAD)",
}
"""What sentences and pictures call the methods."""
COUNTED = f"from counts; asymptotic, below {FEW:g} expected events by sums over all outcomes"
"""How limits are found."""
GRID = tuple(float(x) for x in np.geomspace(1e-3, 1, 25))
"""Background efficiencies in the window at which the SIC is kept."""
RESERVES = 4
"""How many times the background of the data the reference classifiers are given to train on."""
STREAM = 2
"""Family of seeds; 0 and 1 are the calibration and its validation."""
NULL_STREAM = 3
"""Family of seeds of the experiments without signal that Z is corrected by."""


@dataclass(frozen=True)
class Study:
    """What every injection shares. Samples carry the hunt's features first, then the observables of the control."""

    pseudo: PseudoData
    signal: Sample
    """Signal events, half to inject and half to train the supervised classifier."""
    features: int
    """How many columns are the hunt's features."""
    method: Method
    window: int
    """Index of the window that is studied."""
    efficiency: float


def injection_study(
    study: Study,
    yields: Sequence[int],
    seeds: int,
    *,
    seed: int,
    ledger: Path | None = None,
    client: Any = None,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """Injections of several yields, each with several seeds.

    Parameters
    ----------
    study
        What they share.
    yields
        Signal events in the fit range.
    seeds
        Experiments for each yield.
    seed
        Of the hunt.
    ledger
        A file in which every finished experiment is kept; only those that it lacks are done.
    client, progress
        See :func:`~jepa_coffea.tasks.run_tasks`.

    Returns
    -------
    list of dict
        One record for each yield and seed; see :func:`inject`.

    Raises
    ------
    HuntError
        If there is too little signal for the yields.
    """
    check_signal(len(study.signal.mass), yields)
    tasks = [(amount, number, toy_seed(seed, number, STREAM)) for amount in yields for number in range(seeds)]
    return _injected(tasks, study, ledger, client=client, progress=progress, description="Injection study")


def null_study(
    study: Study,
    experiments: int,
    *,
    seed: int,
    ledger: Path | None = None,
    client: Any = None,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """Experiments like the injections but without signal, with seeds that no injection has.

    Parameters
    ----------
    study
        What they share with the injections.
    experiments
        How many.
    seed, ledger, client, progress
        As for :func:`injection_study`, whose ledger it may be.

    Returns
    -------
    list of dict
        A record of each; see :func:`inject`.
    """
    tasks = [(0, number, toy_seed(seed, number, NULL_STREAM)) for number in range(experiments)]
    description = "Injection study: experiments without signal"
    return _injected(tasks, study, ledger, client=client, progress=progress, description=description)


def _injected(
    tasks: Sequence[tuple[int, int, int]], study: Study, ledger: Path | None, **execution: Any
) -> list[dict[str, Any]]:
    """Records of experiments; those that the ledger has are not done again."""
    return Ledger(ledger).run(inject, tasks, (study,), key=lambda task: f"{task[0]} {task[2]}", **execution)


def check_signal(events: int, yields: Sequence[int]) -> None:
    """Check that there is enough signal for the yields.

    Parameters
    ----------
    events
        Signal events that there are.
    yields
        As for :func:`injection_study`.

    Raises
    ------
    HuntError
        If there is not.
    """
    if max(yields, default=0) > events // 2:
        msg = (
            f"injection: {max(yields)} signal events asked for, {events // 2} available (half of {events}; the other "
            "half trains the supervised classifier)"
        )
        raise HuntError(msg)


def inject(task: tuple[int, int, int], study: Study) -> dict[str, Any]:
    """One experiment: signal events in background-only pseudo-data, judged by all methods.

    Seeds with the same number share background and folds at every yield, so that yields differ by signal alone;
    different numbers take disjoint signal events as long as there are enough.

    Parameters
    ----------
    task
        Signal events, number of the experiment, seed.
    study
        What all injections share.

    Returns
    -------
    dict
        ``yield``, ``seed``, ``grid``, and for each method a selection's record with ``limit`` (95 % CLs, on signal
        events in the window), ``signal`` (signal events selected there) and, with a classifier, ``sic`` on the grid.
    """
    amount, number, seed = task
    half = len(study.signal.mass) // 2
    # The same split for every task: first half injected, second half for the supervised classifier.
    start = (number * amount) % max(half - amount + 1, 1)
    own_half, other_half = study.pseudo.halves(seed)
    background = own_half.draw(seed)
    data = background.joined(study.signal.take(np.arange(start, start + amount)))
    truth = np.arange(len(data.mass)) >= len(background.mass)
    reserve = other_half.draw(seed ^ 1)
    for other in range(2, RESERVES + 1):
        reserve = reserve.joined(other_half.draw(seed ^ other))
    method, features = _one_window(study, seed), slice(0, study.features)
    recipe, own = method.recipe, data.columns(features)
    observables, raw = data.columns(slice(study.features, None)), replace(recipe, reduction=None)
    signal = study.signal.take(np.arange(half, 2 * half)).columns(features)
    scores = {
        "cwola": train_or_say_why(own, recipe)[0],
        "cwola_observables": _control(observables, raw),
        "supervised": supervised(own, signal, reserve.columns(features), recipe),
        "iad": idealised_anomaly_detector(own, reserve.columns(features), recipe),
    }
    inside = recipe.windows.windows[0].region(data.mass) == WINDOW
    record: dict[str, Any] = {"yield": amount, "seed": seed, "grid": GRID}
    for name, of_method in scores.items():
        experiment = run_experiment(data, method, [of_method], inclusive=name == "cwola")
        if experiment.inclusive:
            everything = experiment.inclusive[0]
            record["inclusive"] = _judged(everything, int(np.count_nonzero(truth & inside)))
        passed = np.zeros(len(truth), bool)
        if not of_method.refusal(study.efficiency):
            passed = of_method.selected(study.efficiency)
        record[name] = _judged(experiment.selections[0], int(np.count_nonzero(truth & passed & inside)))
        record[name]["sic"] = sic_on_grid(of_method, truth & inside, ~truth & inside)
    return record


def _control(observables: Sample, recipe: Recipe) -> WindowScores:
    """The hunt's classifiers on the observables, where there are any."""
    if observables.X.shape[1]:
        return train_or_say_why(observables, recipe)[0]
    window = recipe.windows.windows[0]
    return without_scores(window, observables, recipe.folds, "the events have no jet masses and tau ratios")


def sic_on_grid(scores: WindowScores, signal: Mask, background: Mask) -> list[float]:
    """SIC at the background efficiencies of ``GRID``.

    Parameters
    ----------
    scores
        Of one window.
    signal, background
        Events in the window by truth, (events,).

    Returns
    -------
    list of float
        NaN below the statistical floor, and without signal.
    """
    scored = scores.scored
    try:
        eff_s, eff_b, _, floor = sic_curve(scores.fraction, signal & scored, background & scored)
    except SelectionError:
        return [float("nan")] * len(GRID)
    values = np.interp(GRID, eff_b, eff_s) / np.sqrt(GRID)
    return [float(v) if g >= floor else float("nan") for v, g in zip(values, GRID, strict=True)]


def _one_window(study: Study, seed: int) -> Method:
    """The method of one experiment: the window and the efficiency that are studied."""
    method = study.method.seeded(seed)
    windows = method.recipe.windows
    one = replace(windows, windows=(windows.windows[study.window],))
    return replace(method, recipe=replace(method.recipe, windows=one), efficiencies=(study.efficiency,))


def _judged(selection: Selection, signal: int) -> dict[str, Any]:
    return {**selection.record(), "signal": signal}


Floats = npt.NDArray[np.float64]


def nulls_of(records: Sequence[dict[str, Any]], background: str = FUNCTION) -> dict[str, Null | str]:
    """How Z of each method is distributed without signal.

    Parameters
    ----------
    records
        From :func:`null_study`.
    background
        The estimate that Z is by; the function where there is no selection.

    Returns
    -------
    dict
        By name of the method: the distribution, or why there is none to correct by.
    """
    found: dict[str, Null | str] = {}
    for name in METHODS:
        try:
            share = _numbers(records, name, background, "function_share")
            null = null_of(_numbers(records, name, background, "z"), float(np.nanmedian(share)))
        except HuntError as error:
            found[name] = str(error)
        else:
            found[name] = null if null.is_centred else _off_centre(null)
    return found


def _off_centre(null: Null) -> str:
    """Why Z is not corrected by a null."""
    return (
        f"its mean Z without signal is {null.mean:.2f} ± {null.mean_error:.2f}, expected 0 within "
        f"{null.mean_threshold:.2g}, and no correction for it can be trusted"
    )


def correction_of(nulls: Mapping[str, Null | str]) -> str:
    """What Z of the methods is corrected by, in words.

    Parameters
    ----------
    nulls
        From :func:`nulls_of`; empty where no experiments without signal were asked for.

    Returns
    -------
    str
        Each method that is as counted stands with its reason.
    """
    corrected = {name: null for name, null in nulls.items() if isinstance(null, Null)}
    counted = "".join(f"; {name} as counted: {why}" for name, why in nulls.items() if isinstance(why, str))
    if not corrected and len(set(nulls.values())) > 1:
        return f"Z and limits of no method are corrected{counted}"
    if not corrected:
        return (
            f"Z and limits are as counted: {next(iter(nulls.values()), 'no experiments without signal were asked for')}"
        )
    experiments = max(len(null.toys) + null.failed for null in corrected.values())
    return (
        f"Z and limits of each method are corrected by its own Z in {experiments} experiments without signal{counted}"
    )


def _numbers(records: Sequence[dict[str, Any]], method: str, background: str, name: str) -> Floats:
    """A number of an estimate, or of the function where there is no selection."""
    return np.array([record[method].get(background, record[method][FUNCTION])[name] for record in records], dtype=float)


def summarised(
    records: Sequence[dict[str, Any]],
    background: str = FUNCTION,
    nulls: Mapping[str, Null | str] | None = None,
    constraint: Constraint = "poisson",
) -> list[dict[str, Any]]:
    """Medians and 16-84 % bands of an injection study over its seeds.

    A pseudo-experiment whose fit failed counts as Z = -infinity and as an infinite limit: a method that cannot be
    fitted gains nothing by it.

    Parameters
    ----------
    records
        From :func:`~jepa_coffea.hunt.injection.injection_study`.
    background
        The estimate that Z and limits are by; the function where there is no selection.
    nulls
        From :func:`nulls_of`, by the same estimate: what Z and limits of each method are corrected by. Those of a
        method that has none are as counted.
    constraint
        Of the backgrounds, for limits.

    Returns
    -------
    list of dict
        For each yield and method: Z and whether it and the limits are ``calibrated``, ``limit_selected`` on signal
        events that are selected in the window, ``limit`` on the injected yield (see :func:`in_yields`), selected
        signal, and SIC.
    """
    rows = []
    amounts = sorted({record["yield"] for record in records})
    for name in METHODS:
        null = (nulls or {}).get(name)
        response = [np.mean([r[name]["signal"] for r in records if r["yield"] == amount]) for amount in amounts]
        for amount in amounts:
            here = [record for record in records if record["yield"] == amount]
            z = _numbers(here, name, background, "z")
            if isinstance(null, Null):
                z = null.corrected(z)
            limit = _limits(here, name, background, null if isinstance(null, Null) else None, constraint)
            row = {
                "yield": amount,
                "method": name,
                "calibrated": isinstance(null, Null),
                "experiments": len(here),
                "failed": int(np.count_nonzero(~np.isfinite(z))),
                **_band("z", np.where(np.isfinite(z), z, -np.inf)),
                **_band("limit_selected", limit),
                **_band("limit", in_yields(limit, amounts, response)),
                "signal": float(np.median([r[name]["signal"] for r in here])),
            }
            if name != "inclusive":
                sic = np.array([r[name]["sic"] for r in here], dtype=float)
                usable = np.isfinite(sic).all(axis=0)
                row["sic"] = [float(x) if ok else None for x, ok in zip(np.median(sic, axis=0), usable, strict=True)]
            rows.append(row)
    return sorted(rows, key=lambda row: row["yield"])


def with_cross_sections(
    summary: Sequence[dict[str, Any]], luminosity: float, efficiency: float
) -> list[dict[str, Any]]:
    """The rows of a study with limits on the cross-section beside those on the yield.

    Parameters
    ----------
    summary
        From :func:`summarised`.
    luminosity
        In 1/fb.
    efficiency
        Share of the produced signal events that is left before the hunt; the cross-section is that into the fit range.

    Returns
    -------
    list of dict
        With ``limit_fb`` and its band.
    """
    ends = ("limit_low", "limit", "limit_high")
    return [row | {f"{end}_fb": row[end] / (luminosity * efficiency) for end in ends} for row in summary]


def _limits(
    records: Sequence[dict[str, Any]], method: str, background: str, null: Null | None, constraint: Constraint
) -> Floats:
    """Limits on the selected events, with the calibration where there is one; infinite where there are none."""
    counts = np.array([record[method]["n"] for record in records], dtype=float)
    b, sigma_b = (_numbers(records, method, background, name) for name in ("b", "sigma_b"))
    return np.array([_limit(*one, null, constraint) for one in zip(counts, b, sigma_b, strict=True)])


def _limit(n: float, b: float, sigma_b: float, null: Null | None, constraint: Constraint) -> float:
    if not (b > 0 and sigma_b > 0):
        return float("inf")
    if null is not None:
        b, sigma_b = calibrated_background(b, sigma_b, null.calibration(float("nan")))
    return counting_limit(n, b, sigma_b, constraint=constraint).events if b > 0 else float("inf")


def _band(name: str, values: Floats) -> dict[str, float]:
    """Median and 16-84 % band, by rank, as infinities cannot be averaged."""
    low, middle, high = np.percentile(values, [16, 50, 84], method="nearest")
    return {f"{name}_low": float(low), name: float(middle), f"{name}_high": float(high)}


def in_yields(selected: Floats, yields: Sequence[int], response: Sequence[Any]) -> Floats:
    """Turn limits on selected signal events into limits on the injected yield.

    A classifier trained on the data selects a share of the signal that depends on how much there is, so a yield s
    is excluded when the mean number S(s) selected at that yield exceeds the limit; S is linear between the yields of
    the study, starts at S(0) = 0, goes on beyond the largest with the share found there, and is made monotone
    downwards, which can only weaken limits.

    Parameters
    ----------
    selected
        Limits on selected signal events, (limits,).
    yields
        Injected yields of the study.
    response
        Mean number of selected signal events at each.

    Returns
    -------
    array of float, (limits,)
        Infinite where nothing is selected at all.
    """
    positive = [(y, r) for y, r in zip(yields, response, strict=True) if y > 0]
    if not positive or positive[-1][1] <= 0:
        return np.full(len(selected), np.inf)
    x, s = np.array([(0, 0), *positive], dtype=float).T
    s = np.minimum.accumulate(s[::-1])[::-1]
    # Of several yields with the same S the largest is the cautious answer; interp wants S to rise.
    last = np.append(np.diff(s) > 0, True)
    last[0] = True
    inside = np.interp(selected, s[last], x[last])
    return np.where(selected > s[-1], selected * x[-1] / s[-1], inside)
