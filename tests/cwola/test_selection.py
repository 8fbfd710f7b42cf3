import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from jepa_coffea.cwola.selection import SelectionError, argos, auc, check_efficiency, sic_curve, sideband_fraction


def test_fraction_is_the_empirical_quantile_of_the_sidebands():
    rng = np.random.default_rng(0)
    scores, sideband = rng.random(3000), rng.random(3000) < 0.7
    fraction = sideband_fraction(scores, sideband, np.ones(3000), rng.random(3000))
    n = sideband.sum()
    for efficiency in (0.003, 0.01, 0.2, 1.0):
        passed = fraction <= efficiency
        k = int(np.floor(efficiency * n))
        assert (passed & sideband).sum() == k
        # The brute-force cut: at or above the k-th largest sideband score.
        threshold = np.sort(scores[sideband])[-k]
        assert np.array_equal(passed & ~sideband, (scores > threshold) & ~sideband) or efficiency == 1.0


def test_fraction_with_weights_counts_weight():
    scores, weights = np.array([4.0, 3.0, 2.0, 1.0]), np.array([1.0, 9.0, 2.0, 1.0])
    fraction = sideband_fraction(scores, np.array([True, False, True, True]), weights, np.zeros(4))
    assert fraction.tolist() == [0.25, 0.75, 0.75, 1.0]


def test_ties_are_broken_by_chance_not_by_label():
    rng = np.random.default_rng(0)
    sideband = np.repeat([True, False], [5000, 5000])
    fraction = sideband_fraction(np.zeros(10_000), sideband, np.ones(10_000), rng.random(10_000))
    assert (fraction[~sideband] <= 0.1).mean() == pytest.approx(0.1, abs=0.015)


def test_a_fold_without_sidebands_or_too_few_for_the_efficiency():
    with pytest.raises(SelectionError, match="no sideband events"):
        sideband_fraction(np.ones(3), np.zeros(3, bool), np.ones(3), np.zeros(3))
    with pytest.raises(SelectionError, match="50 sideband events, fewer than the 100"):
        check_efficiency(0.01, 50)
    with pytest.raises(SelectionError, match=r"in \(0, 1\]"):
        check_efficiency(0, 50)


def test_auc_is_scikit_learns_with_ties():
    rng = np.random.default_rng(0)
    labels, scores = rng.random(500) < 0.4, np.round(rng.random(500), 1)
    value, error = auc(scores, labels, ~labels)
    assert value == pytest.approx(roc_auc_score(labels, scores))
    n, m = labels.sum(), (~labels).sum()
    assert error == pytest.approx(np.sqrt((n + m + 1) / (12 * n * m)))


def test_argos_is_near_zero_for_noise_and_grows_with_the_difference():
    rng = np.random.default_rng(0)
    window = rng.random(20_000) < 0.5
    noise = rng.random(20_000)
    fraction = sideband_fraction(noise, ~window, np.ones(20_000), noise)
    assert abs(argos(fraction, window, ~window, events=200)) < 0.05
    weak = sideband_fraction(noise + 0.3 * window * (rng.random(20_000) < 0.1), ~window, np.ones(20_000), noise)
    strong = sideband_fraction(noise + 1.0 * window * (rng.random(20_000) < 0.1), ~window, np.ones(20_000), noise)
    assert argos(fraction, window, ~window) < argos(weak, window, ~window) < argos(strong, window, ~window)


def test_argos_of_a_known_case():
    # 100 sideband events, a cut at 25 of them holds half of the window: .5 / sqrt(.25) - sqrt(.25) = .5.
    fraction = np.concatenate([np.arange(1, 101) / 100, np.repeat([0.25, 1.0], 50)])
    window = np.arange(200) >= 100
    assert argos(fraction, window, ~window) == pytest.approx(0.5)


def test_sic_curve_stops_at_its_floor():
    rng = np.random.default_rng(0)
    signal = np.arange(11_000) < 1000
    fraction = np.where(signal, rng.random(11_000) ** 3, rng.random(11_000))
    eff_s, eff_b, sic, floor = sic_curve(fraction, signal, ~signal)
    assert floor == pytest.approx(20 / 10_000)
    assert eff_b.min() >= floor
    assert sic == pytest.approx(eff_s / np.sqrt(eff_b))
    cut = len(eff_b) // 2
    value = np.unique(fraction)[-len(eff_b) :][cut]
    assert eff_s[cut] == pytest.approx((fraction[signal] <= value).mean())
