import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from jepa_coffea.cwola.efficiency import sideband_fraction
from jepa_coffea.cwola.merits import argos, auc, sic_curve


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
