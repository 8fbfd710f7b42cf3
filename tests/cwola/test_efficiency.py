import numpy as np
import pytest

from jepa_coffea.cwola.efficiency import (
    SelectionError,
    check_efficiency,
    sideband_fraction,
    ties_of,
    window_scores,
    without_scores,
)
from jepa_coffea.cwola.folds import Folds
from jepa_coffea.cwola.sample import make_sample
from jepa_coffea.cwola.windows import Window
from tests.cwola.toy import dijets


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


WINDOW = Window(2600, 3000, 2200, 3600)


def scored(levels):
    """Scores of a coarse classifier with many ties, and their events."""
    X, mass, ids, _ = dijets(4000)
    sample = make_sample(X, mass, ids)
    score = np.round(np.random.default_rng(0).random(4000) * levels) / levels
    return sample, window_scores(score, WINDOW, sample, Folds(outer=3), seed=5)


@pytest.mark.parametrize("efficiency", [0.1, 0.37, 1.0])
def test_thresholds_select_the_same_events_as_fractions_also_among_ties(efficiency):
    sample, scores = scored(levels=7)
    ties = ties_of(sample.hashes, 5)
    again = np.zeros(4000, bool)
    for fold, threshold in scores.thresholds(efficiency, ties).items():
        again |= (scores.fold == fold) & threshold.admits(scores.score, ties)
    assert np.array_equal(again, scores.selected(efficiency))
    passed = (scores.selected(efficiency) & scores.sideband).sum() / scores.sideband.sum()
    assert passed == pytest.approx(efficiency, abs=2e-3)


def test_what_has_no_threshold_says_why():
    sample, scores = scored(levels=100)
    assert scores.refusal(0.1) == ""
    assert "fewer than the 100000 that define" in scores.refusal(1e-5)
    with pytest.raises(SelectionError, match="fewer than the 100000"):
        scores.selected(1e-5)
    nothing = without_scores(WINDOW, sample, Folds(outer=3), "no training")
    assert nothing.refusal(0.1) == "no training"
    assert not nothing.scored.any()
    with pytest.raises(SelectionError, match="no training"):
        nothing.selected(0.1)
