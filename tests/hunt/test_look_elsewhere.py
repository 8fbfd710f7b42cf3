import numpy as np
import pytest
from scipy import stats

from jepa_coffea.hunt.look_elsewhere import global_p, upcrossings
from jepa_coffea.hunt.null import correct, null_of


def searched(z, toys, centres=None):
    """The global p-value of significances ``z`` (selections,) with ``toys`` (experiments, selections)."""
    corrected = [correct(v, null_of(column)) for v, column in zip(z, toys.T, strict=True)]
    return global_p(corrected, toys, [0.1] * len(z), range(len(z)) if centres is None else centres)


def trials(experiments, rng):
    """Four correlated significances of different widths."""
    common = rng.normal(size=(experiments, 1))
    return (np.sqrt(0.5) * common + np.sqrt(0.5) * rng.normal(size=(experiments, 4))) * [1, 2, 1, 0.5]


def test_global_p_is_exact_for_correlated_trials_and_few_toys():
    rng = np.random.default_rng(2)
    p = np.array([searched(trials(1, rng)[0], trials(24, rng)).p for _ in range(300)])
    for level in (0.04, 0.2, 0.52):  # multiples of 1/25, where a rank is exact
        assert (p <= level + 1e-9).mean() == pytest.approx(level, abs=3.5 * np.sqrt(level * (1 - level) / 300))


def test_what_no_toy_reaches_has_a_bound():
    toys = trials(1000, np.random.default_rng(3))
    found = searched([9.0, 1.0, 1.0, 1.0], toys)
    assert (found.where, found.exceeding) == (0, 0)
    assert found.p == pytest.approx(1 / 1001)
    assert found.bound == pytest.approx(4 * stats.norm.sf(found.largest_z))


def test_a_failed_pseudo_experiment_could_have_been_anything():
    toys = trials(100, np.random.default_rng(3))
    toys[:5, 2] = np.nan
    found = searched([9.0, 1.0, 1.0, 1.0], toys)
    assert (found.exceeding, found.failed, found.is_bound) == (5, 5, True)
    assert "p-value is < 0.059: none of 95 pseudo-experiments reaches" in found.sentence
    assert "In 5 more a fit failed; each is counted as one that reaches as far" in found.sentence
    toys[:, 0] *= 10
    found = searched([9.0, 1.0, 1.0, 1.0], toys)
    assert (found.is_bound, found.failed) == (False, 5)
    assert "pseudo-experiments reach as far)" in found.sentence


def test_what_is_not_calibrated_is_no_trial():
    toys = trials(100, np.random.default_rng(3))
    corrected = ["no fit", *(correct(z, null_of(toys[:, i])) for i, z in ((1, 1.0), (2, 2.5), (3, 0.1)))]
    found = global_p(corrected, toys, [0.1] * 4, range(4))
    assert (found.trials, found.where) == (3, 2)
    assert global_p(["no fit"] * 4, toys, [0.1] * 4, range(4)) is None


def test_upcrossings_bound_the_global_p_of_windows():
    rng = np.random.default_rng(5)
    # Twelve overlapping windows: neighbours in mass share half of their events, given in another order.
    slices = rng.normal(size=(20_000, 13))
    order = rng.permutation(12)
    toys = ((slices[:, 1:] + slices[:, :-1]) / np.sqrt(2))[:, order]
    for peak in (2.0, 3.0):
        exact = (toys.max(axis=1) >= peak).mean()
        bound = upcrossings(toys, [0.1] * 12, order, peak)
        assert exact < bound < 12 * stats.norm.sf(peak) * 1.5
    assert upcrossings(toys, [0.1] * 6 + [0.01] * 6, [*range(6), *range(6)], 3.0) > exact
    assert np.isnan(upcrossings(toys[:, :1], [0.1], [2800.0], 3.0))
    assert np.isnan(upcrossings(toys, [0.1] * 12, order, 0.3))
