"""Signal of known size put into pseudo-data: what the search makes of it, beside what others would.

In each experiment the same events are judged by

* ``inclusive``: no classifier;
* ``cwola``: the hunt's own classifiers;
* ``cwola_observables``: the same classifiers on jet masses and tau ratios in place of its features;
* ``supervised``: trained on other signal events against other background events, the best that these features allow;
* ``idealised``: trained on the window's events against pure background of the window, the best without labels.

All take their thresholds from the sidebands of the same data, and their backgrounds from the same kind of fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jepa_coffea.bumphunt.limits import counting_limit
from jepa_coffea.cwola.fits import Sample
from jepa_coffea.cwola.scores import WindowScores
from jepa_coffea.cwola.selection import SelectionError, sic_curve
from jepa_coffea.cwola.tasks import run_tasks
from jepa_coffea.cwola.windows import WINDOW
from jepa_coffea.hunt.calibration import toy_seed
from jepa_coffea.hunt.config import HuntError
from jepa_coffea.hunt.experiment import Method, count
from jepa_coffea.hunt.pseudo import PseudoData
from jepa_coffea.hunt.reference_classifiers import idealised, supervised
from jepa_coffea.hunt.store import Ledger

Floats = npt.NDArray[np.float64]

METHODS = ("inclusive", "cwola", "cwola_observables", "supervised", "idealised")
GRID = tuple(float(x) for x in np.geomspace(1e-3, 1, 25))
"""Background efficiencies in the window at which the SIC is kept."""
RESERVES = 4
"""How many times the background of the data the supervised and the idealised classifiers are given to train on."""
STREAM = 2
"""Family of seeds; 0 and 1 are the calibration and its validation."""


@dataclass(frozen=True)
class Study:
    """What every injection shares. Samples carry the hunt's features first, then the observables of the baseline."""

    pseudo: PseudoData
    signal: Sample
    """Signal events, half to inject and half to train the supervised classifier."""
    features: int
    """How many columns are the hunt's features."""
    method: Method
    window: int
    """Index of the window that is studied."""
    efficiency: float


def check_study(study: Study, yields: Sequence[int]) -> None:
    """Raise HuntError when there is too little signal for the yields asked for."""
    available = len(study.signal.mass) // 2
    if max(yields, default=0) > available:
        msg = (
            f"injection: {max(yields)} signal events asked for, {available} available (half of "
            f"{len(study.signal.mass)}; the other half trains the supervised classifier)"
        )
        raise HuntError(msg)


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
    """One record for each yield and seed; see :func:`inject`. Finished ones in the ``ledger`` are kept."""
    check_study(study, yields)
    tasks = [(amount, number, toy_seed(seed, number, STREAM)) for amount in yields for number in range(seeds)]
    book = Ledger(ledger)
    missing = [task for task in tasks if f"{task[0]} {task[2]}" not in book]
    run_tasks(
        inject,
        missing,
        (study,),
        client=client,
        progress=progress,
        description="Injection study",
        done=lambda n, record: book.add(f"{missing[n][0]} {missing[n][2]}", record),
    )
    return [book[f"{amount} {seed_}"] for amount, _, seed_ in tasks]


def inject(task: tuple[int, int, int], study: Study) -> dict[str, Any]:
    """One experiment: ``amount`` signal events in background-only pseudo-data, judged by all methods.

    Seeds with the same number share background and folds at every yield, so that yields differ by signal alone;
    different numbers take disjoint signal events as long as there are enough.
    """
    amount, number, seed = task
    half = len(study.signal.mass) // 2
    # The same split for every task: first half injected, second half for the supervised classifier.
    start = (number * amount) % max(half - amount + 1, 1)
    background = study.pseudo.draw(seed)
    data = concatenated(background, study.signal.take(np.arange(start, start + amount)))
    truth = np.arange(len(data.mass)) >= len(background.mass)
    reserve = study.pseudo.draw(seed ^ 1)
    for other in range(2, RESERVES + 1):
        reserve = concatenated(reserve, study.pseudo.draw(seed ^ other))
    method = study.method.seeded(seed)
    windows = method.cwola.windows
    cwola = replace(method.cwola, windows=replace(windows, windows=(windows.windows[study.window],)))
    features = slice(0, study.features)
    own = narrowed(data, features)
    signal = study.signal.take(np.arange(half, 2 * half))
    scores = {
        "cwola": cwola.fit_sample(own)[0],
        "cwola_observables": replace(cwola, reduction=None).fit_sample(narrowed(data, slice(study.features, None)))[0],
        "supervised": supervised(own, narrowed(signal, features), narrowed(reserve, features), cwola),
        "idealised": idealised(own, narrowed(reserve, features), cwola),
    }
    window = cwola.windows.windows[0]
    inside = window.region(data.mass) == WINDOW
    record: dict[str, Any] = {"yield": amount, "seed": seed, "grid": GRID}
    for name in METHODS:
        passed = np.ones(len(data.mass), bool) if name == "inclusive" else scores[name].selected(study.efficiency)
        counts = windows.histogram(data.mass[passed])
        result = count(counts, cwola.windows, window, study.efficiency, method.statistics)[0]
        possible = not result.problem and result.b > 0 and result.sigma_b > 0
        record[name] = {
            "n": result.n,
            "b": result.b,
            "sigma_b": result.sigma_b,
            "z": result.z,
            "limit": counting_limit(result.n, result.b, result.sigma_b).events if possible else float("nan"),
            "signal": int(np.count_nonzero(truth & passed & inside)),
            "problem": result.problem,
        }
        if name != "inclusive":
            record[name]["sic"] = sic_on_grid(scores[name], truth & inside, ~truth & inside)
    return record


def sic_on_grid(scores: WindowScores, signal: npt.NDArray[np.bool_], background: npt.NDArray[np.bool_]) -> list[float]:
    """SIC at the background efficiencies of GRID, NaN below the statistical floor or without signal."""
    scored = scores.scored
    try:
        eff_s, eff_b, _, floor = sic_curve(scores.fraction, signal & scored, background & scored)
    except SelectionError:
        return [float("nan")] * len(GRID)
    values = np.interp(GRID, eff_b, eff_s) / np.sqrt(GRID)
    return [float(v) if g >= floor else float("nan") for v, g in zip(values, GRID, strict=True)]


def concatenated(first: Sample, second: Sample) -> Sample:
    """Both samples' events."""
    match = None
    if first.match is not None and second.match is not None:
        match = np.concatenate([first.match, second.match])
    X, mass, hashes, weights = (
        np.concatenate([getattr(first, name), getattr(second, name)]) for name in ("X", "mass", "hashes", "weights")
    )
    return Sample(X, mass, hashes, weights, match)


def narrowed(sample: Sample, columns: slice) -> Sample:
    """The sample with these feature columns."""
    return replace(sample, X=sample.X[:, columns])
