import numpy as np
import pytest

from jepa_coffea.bumphunt import counting_significance
from jepa_coffea.hunt.calibration import calibrate
from jepa_coffea.hunt.preference import expected_significances, preferred
from jepa_coffea.hunt.sections import StatisticsConfig
from tests.hunt.make import selection

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


def test_what_is_counted_in_the_window_decides_nothing():
    few, many = ([selection(1.0, 1.0, n=n)] for n in (20, 90))
    found = [expected_significances(one, calibrate(one, toys(1.5, 1.0)), STATISTICS) for one in (few, many)]
    assert found[0] == found[1]


def test_the_document_decides_before_and_without_calibration_it_is_the_function():
    one = [selection(1.0, 1.0)]
    fixed = StatisticsConfig(background="function")
    assert preferred(one, calibrate(one, toys(1.5, 1.0)), fixed) == "function"
    assert preferred(one, [{}], STATISTICS) == "function"
    assert preferred(one, [{"function": "no fit", "sideband_efficiency": "no fit"}], STATISTICS) == "function"
