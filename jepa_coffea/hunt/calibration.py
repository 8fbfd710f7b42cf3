r"""The calibration: how Z is distributed without signal, measured by pseudo-experiments that redo the whole analysis.

Why the Z of the sum over k folds needs a calibration. Let d_j be the fluctuation (events minus expectation, over
feature space) of fold j. For fold i a classifier picks a region g_i; the excess counted there is N_i = <g_i, d_i>. As
g_i is made from the other folds, N_i has the Poisson variance of a fixed selection: each fold alone is right. But
the same pair of folds enters twice: g_i leans towards where d_j fluctuated upwards, g_j towards where d_i did, and
both N_i and N_j contain the overlap <d_i, d_j>. To first order, g_i = g + sum_{j != i} K d_j, with K symmetric,

    sum_i N_i = <g, sum_i d_i> + 2 sum_{i < j} <d_i, K d_j>,

a linear term with the variance of a fixed selection, and a U-statistic whose terms all have coefficient 2 where
independent folds would have two terms of coefficient 1: twice the variance. A classifier that learns nothing but noise
(the linear term is small) has Var(Z) up to 2, std(Z) up to 1.41; one that always picks the same region has 1. What is
measured lies between, and depends on the classifier, its regularisation and the data: so it is measured.

Two remedies. ``order: forward`` trains fold i on the folds before it: then E[N_i | d_1 ... d_{i-1}] = 0, the N_i are
martingale differences, the cross terms vanish, std(Z) is 1 up to small counts (below), and the price is a fifth of
the events and classifiers trained on less. ``order: cross`` keeps all events, and the Z is read off against
pseudo-experiments that redo folds, training, thresholds and fit:

* corrected p: t = (Z - mean) / (width sqrt(1 + 1/n)) with mean and width of the n pseudo-experiments follows Student's
  law with n - 1 degrees of freedom, exactly so if Z is Gaussian under the null; p is its tail, whatever the number of
  experiments (few of them cost significance instead of inventing it), and corrected Z the same p in Gaussian units;
* rank p = (1 + #{toys with Z at least as large}) / (1 + toys), exact for any distribution, never below 1/(1 + toys);
* global p: the rank of the largest corrected Z of all windows and efficiencies among the largest of each toy, see
  :mod:`jepa_coffea.hunt.look_elsewhere`.

Both background estimates are counted in the same pseudo-experiments and each is corrected by its own distribution.
Which one is nominal is decided by these experiments and the sidebands, without the events in the window; see
:mod:`jepa_coffea.hunt.nominal`.

Thresholds are quantiles of the held-out sidebands of the fold, so k of its m sideband events pass by construction, and
the window count, given the threshold, is Poisson with a mean that fluctuates: relative variance 1/k. That equals the
relative variance of a Poisson sideband count k at a fixed threshold (inverse sampling: k is fixed rather than the cut),
so the fit, which takes the sidebands' counts as Poisson, has nearly the right uncertainty. Nearly: a random 10 %
selection in 1000 pseudo-experiments has std(Z) = 1.03 +- 0.02 with fixed thresholds and 1.07 +- 0.02 with quantiles in
each fold. ``forward`` therefore gives 1 only up to such effects of small counts in a fold, which no argument above
covers; that is why the correction is measured, for either order.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jepa_coffea.bumphunt.ledger import Ledger
from jepa_coffea.cwola.gates import Gate
from jepa_coffea.hunt.config import HuntError
from jepa_coffea.hunt.experiment import Method, run_experiment
from jepa_coffea.hunt.null import Corrected, correct, null_of
from jepa_coffea.hunt.pseudo import PseudoData
from jepa_coffea.hunt.selections import ESTIMATES, Floats, Selection


def toy_seed(seed: int, number: int, stream: int = 0) -> int:
    """The seed of one pseudo-experiment.

    Parameters
    ----------
    seed
        Of the hunt.
    number
        Of the experiment.
    stream
        Independent families: calibration, validation, injection.

    Returns
    -------
    int
        Below 2^63.
    """
    return int(np.random.SeedSequence(seed, spawn_key=(stream, number)).generate_state(1, np.uint64)[0] >> np.uint64(1))


def null_experiment(seed: int, pseudo: PseudoData, method: Method) -> list[list[float]]:
    """One pseudo-experiment without signal.

    Parameters
    ----------
    seed
        Of the events, the folds and the classifiers.
    pseudo
        Where the events come from.
    method
        What is done to the data.

    Returns
    -------
    list, [estimate][selection]
        Z as counted; see :meth:`~jepa_coffea.hunt.experiment.Experiment.z`.
    """
    return run_experiment(pseudo.draw(seed), method.seeded(seed)).z()


def null_significances(
    pseudo: PseudoData,
    method: Method,
    experiments: int,
    *,
    seed: int,
    stream: int = 0,
    ledger: Path | None = None,
    client: Any = None,
    progress: bool = False,
) -> Floats:
    """Z of many pseudo-experiments without signal.

    Parameters
    ----------
    pseudo
        Where the events come from.
    method
        What is done to the data.
    experiments
        How many.
    seed, stream
        See :func:`toy_seed`.
    ledger
        A file in which every finished experiment is kept; only those that it lacks are done.
    client, progress
        See :func:`~jepa_coffea.tasks.run_tasks`.

    Returns
    -------
    array of float, (experiments, estimates, selections)
        NaN where there is no number; see :meth:`~jepa_coffea.hunt.experiment.Experiment.z`.
    """
    seeds = [toy_seed(seed, number, stream) for number in range(experiments)]
    found = Ledger(ledger).run(
        null_experiment,
        seeds,
        (pseudo, method),
        client=client,
        progress=progress,
        description="Calibration: pseudo-experiments",
    )
    return np.array(found, dtype=float)


def calibrate(selections: Sequence[Selection], toys: Floats) -> list[dict[str, Corrected | str]]:
    """Every significance against its own null distribution.

    Parameters
    ----------
    selections
        Of the data.
    toys
        From :func:`null_significances`, the degrees of transfer factors decided.

    Returns
    -------
    list of dict
        For each selection, by name of the estimate: the corrected significance, or why there is none.
    """
    return [
        {name: _corrected(selection, name, toys[:, i, number]) for i, name in enumerate(ESTIMATES)}
        for number, selection in enumerate(selections)
    ]


def null_gates(selections: Sequence[Selection], corrected: Sequence[Mapping[str, Corrected | str]]) -> list[Gate]:
    """Whether Z is 0 on average where there is no signal, by the nominal estimate and by the cross-check.

    A correction for a mean that is far from 0 is as uncertain as the reason for it, which is then a difference between
    window and sidebands of the pseudo-data, or a background estimate that is wrong.

    Parameters
    ----------
    selections
        Of the data.
    corrected
        From :func:`calibrate`.

    Returns
    -------
    list of Gate
        One for each estimate of each selection that is calibrated; failed where the mean is off, see
        :meth:`Null.is_centred`.
    """
    return [
        Gate(
            f"mean Z without signal by the {name.replace('_', ' ')} at {selection.efficiency:g}",
            selection.window,
            one.null.is_centred,
            one.null.mean,
            one.null.mean_error,
            one.null.mean_threshold,
            "0 where pseudo-experiments without signal give no excess; else the classifiers tell the window of "
            "pseudo-data from its sidebands, or the background estimate is biased, and no correction for it "
            "can be trusted",
        )
        for selection, of_selection in zip(selections, corrected, strict=True)
        for name, one in of_selection.items()
        if isinstance(one, Corrected)
    ]


def _corrected(selection: Selection, name: str, toys: Floats) -> Corrected | str:
    estimate = selection.estimates[name]
    if estimate.problem:
        return estimate.problem
    try:
        return correct(estimate.z, null_of(toys, estimate.function_share))
    except HuntError as error:
        return str(error)
