import numpy as np
import pytest
from scipy import stats

from jepa_coffea.hunt.calibration import calibrate
from jepa_coffea.hunt.experiment import Counting, Template
from jepa_coffea.hunt.global_p import global_p, upcrossings


def searched(z, toys, centres=None):
    """The global p-value of significances ``z`` (selections,) with ``toys`` (experiments, selections)."""
    results = [Counting(f"W{i}", 0.1, 10, 5.0, 1.0, v, float(stats.norm.sf(v))) for i, v in enumerate(z)]
    both = np.stack([toys, toys], axis=1)
    calibrated = calibrate(results, [Template(5.0, 1.0, v, 0.5, 0.0) for v in z], both)
    return global_p(calibrated, both, range(len(z)) if centres is None else centres)


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
    assert searched([9.0, 1.0, 1.0, 1.0], toys).exceeding == 5


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
