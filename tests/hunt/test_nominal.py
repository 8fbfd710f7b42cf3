from dataclasses import replace

import numpy as np
import pytest

from jepa_coffea.bumphunt import counting_significance
from jepa_coffea.cwola import Windows
from jepa_coffea.hunt.calibration import calibrate
from jepa_coffea.hunt.config import StatisticsConfig
from jepa_coffea.hunt.nominal import degree_of, expected_significances, preferred, with_degrees
from jepa_coffea.hunt.selections import SIDEBAND_EFFICIENCY, Selection, by_function, by_sideband_efficiency, unseen
from tests.hunt.make import selection


def test_the_degree_of_a_transfer_factor_is_decided_by_the_pseudo_experiments_alone():
    rng = np.random.default_rng(0)
    # Means of function, line and parabola at three efficiencies: flat, curved, and a parabola that is no better.
    means = np.array([[0.0, 0.0, 0.0], [0.1, 1.3, -0.4], [0.0, 0.0, 0.9]])
    toys = rng.normal(means, 1.0, (100, 3, 3))
    line = selection(3.0, 2.0)
    both = replace(line, parabola=replace(line.sideband_efficiency, z=1.0, sigma_b=3.9))
    selections, null = with_degrees([both] * 3, toys)
    assert [one.sideband_efficiency.z for one in selections] == [2.0, 1.0, 2.0]
    assert all(one.parabola is None for one in selections)
    assert np.array_equal(null[:, 1], np.stack([toys[:, 1, 0], toys[:, 2, 1], toys[:, 1, 2]], axis=1))
    assert np.array_equal(null[:, 0], toys[:, 0])
    curved = calibrate(selections, null)[1][SIDEBAND_EFFICIENCY]
    assert curved.null.is_centred
    assert curved.z == pytest.approx(1.0, abs=0.3)
    # A hundred pseudo-experiments see a mean of .5, twenty do not; where fits fail the line stays.
    assert degree_of(toys[:, 1, 0] + 0.5, toys[:, 2, 1]) == 2
    assert degree_of(toys[:20, 1, 0] + 0.4 - toys[:20, 1, 0].mean(), toys[:20, 2, 1]) == 1
    assert degree_of(toys[:, 1, 1], np.full(100, np.nan)) == 1
    fixed, same = with_degrees([line], toys[:, :2, :1])
    assert fixed == [line]
    assert np.array_equal(same, toys[:, :2, :1])


STATISTICS = StatisticsConfig()


def toys(width_of_function, width_of_other):
    return np.random.default_rng(0).normal(size=(400, 2, 1)) * [[width_of_function], [width_of_other]]


def test_the_estimate_with_the_larger_expected_significance_is_taken():
    one = [selection(1.0, 1.0)]
    corrected = calibrate(one, toys(1.0, 1.5))
    expected = expected_significances(one, corrected, STATISTICS)
    signal = 3 * np.sqrt(40.0)
    assert expected["function"] == pytest.approx(counting_significance(40 + signal, 40.0, 2.0, "poisson"), rel=0.1)
    assert expected["sideband_efficiency"] == pytest.approx(expected["function"] / 1.5, rel=0.15)
    assert preferred(one, corrected, STATISTICS) == "function"
    assert preferred(one, calibrate(one, toys(1.5, 1.0)), STATISTICS) == "sideband_efficiency"


def test_an_estimate_that_is_biased_without_signal_is_not_taken():
    one = [selection(1.0, 1.0)]
    biased = calibrate(one, toys(1.5, 1.0) + np.array([[0.0], [1.5]]))
    assert preferred(one, biased, STATISTICS) == "function"
    both = calibrate(one, toys(1.5, 1.0) + 1.5)
    assert preferred(one, both, STATISTICS) == "function"
    assert preferred(one, biased, StatisticsConfig(background="sideband_efficiency")) == "sideband_efficiency"


def test_an_estimate_that_alone_is_calibrated_is_taken():
    line = [selection(1.0, 1.0, function="no fit")]
    corrected = calibrate(line, toys(1.0, 1.2))
    assert isinstance(corrected[0]["function"], str)
    assert preferred(line, corrected, STATISTICS) == "sideband_efficiency"
    biased = calibrate(line, toys(1.0, 1.2) + 1.5)
    assert preferred(line, biased, STATISTICS) == "function"


WINDOWS = Windows.single(2600, 3000, sidebands=(2200, 3600), fit_range=(2000, 5000), bins=25)
SMOOTH = StatisticsConfig(sqrt_s=13000, function="dijet2")


def smooth(*, failing=1.0, passing=1.0):
    """A tenth of a falling spectrum, by both estimates; factors of the events of the window."""
    edges, window = np.asarray(WINDOWS.edges), WINDOWS.windows[0]
    total = np.round(700 * np.exp(-((edges[:-1] + edges[1:]) / 2 - 2000) / 500) * np.diff(edges) / 100)
    passed, inside = np.round(0.1 * total), WINDOWS.bins_of(window)
    before = total.copy()
    before[inside] += np.round((failing - 1) * (total - passed)[inside])
    extra = np.round((passing - 1) * passed[inside])
    before[inside] += extra
    passed[inside] += extra
    function = by_function(passed, WINDOWS, window, SMOOTH)
    other = by_sideband_efficiency(passed, before, WINDOWS, window, SMOOTH)
    return Selection(window.name, 0.1, int(passed[inside].sum()), passed, function, other)


def test_what_is_in_the_window_decides_nothing():
    spread, one = toys(1.0, 1.0), smooth()
    changed = smooth(failing=1.05), smooth(failing=1.4), smooth(failing=0.7, passing=1.5), smooth(passing=0.3)
    nominal = preferred([one], calibrate([one], spread), SMOOTH)
    expected = expected_significances([one], calibrate([one], spread), SMOOTH)
    assert max(expected, key=expected.get) == nominal
    for other in changed:
        assert other.sideband_efficiency.b != one.sideband_efficiency.b or other.n != one.n
        assert preferred([other], calibrate([other], spread), SMOOTH) == nominal
        assert expected_significances([other], calibrate([other], spread), SMOOTH) == pytest.approx(expected)


def test_without_a_look_at_the_window_the_estimates_expect_what_they_find_where_it_is_smooth():
    one, many = smooth(), smooth(failing=1.4)
    blind, other = unseen(one, SMOOTH), unseen(many, SMOOTH)
    for name in ("b", "sigma_b"):
        expected, found = (getattr(of.sideband_efficiency, name) for of in (blind, one))
        assert expected == pytest.approx(found, rel=0.01)
        assert getattr(other.sideband_efficiency, name) == pytest.approx(expected)
        assert getattr(many.sideband_efficiency, name) > 1.15 * expected
        assert getattr(blind.function, name) == getattr(one.function, name)
    assert blind.n == 0
    assert np.isnan([blind.function.z, blind.function.p, blind.sideband_efficiency.z]).all()
    assert blind.sideband_efficiency.transfer_factor.prediction().total == blind.sideband_efficiency.b


def test_a_spectrum_that_no_function_fits_has_no_expectation():
    one = smooth()
    edges = np.asarray(WINDOWS.edges)
    factor = one.sideband_efficiency.transfer_factor
    nothing = np.where(edges[:-1] >= 3000, 0.0, 1.0)
    empty = replace(factor, counts=factor.counts * nothing, expected=factor.expected * nothing)
    broken = replace(one, sideband_efficiency=replace(one.sideband_efficiency, transfer_factor=empty))
    assert "no events above the window" in unseen(broken, SMOOTH).sideband_efficiency.problem
    corrected = calibrate([broken], toys(1.5, 1.0))
    assert expected_significances([broken], corrected, SMOOTH) == {}
    assert preferred([broken], corrected, SMOOTH) == "function"


def test_the_document_decides_before_and_without_calibration_it_is_the_function():
    one = [selection(1.0, 1.0)]
    fixed = StatisticsConfig(background="function")
    assert preferred(one, calibrate(one, toys(1.5, 1.0)), fixed) == "function"
    assert preferred(one, [{}], STATISTICS) == "function"
    assert preferred(one, [{"function": "no fit", "sideband_efficiency": "no fit"}], STATISTICS) == "function"
