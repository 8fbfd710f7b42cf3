import numpy as np
import pytest

from jepa_coffea.hunt.calibration import calibrate
from jepa_coffea.hunt.experiment import Counting, Template
from jepa_coffea.hunt.global_p import global_p
from jepa_coffea.hunt.state import Selection
from jepa_coffea.hunt.verdict import describe, disagreements, learning


def selection(pull, problem=""):
    counting = Counting("W1", 0.1, 50, 40.0, 2.0, 1.2, 0.1)
    return Selection(counting, np.zeros(3), None, template=Template(40 + 3 * pull, 2.2, 1.0, 0.5, pull, problem))


def test_background_estimates_that_disagree_forbid_quoting():
    assert disagreements([selection(0.5), selection(-2.9), Selection(selection(0).counting, np.zeros(3), None)]) == []
    (reason,) = disagreements([selection(-3.4)])
    assert "W1, efficiency 0.1 disagree by 3.4 standard deviations: 40.0 ± 2.0 by the fit, 29.8 ± 2.2" in reason
    (reason,) = disagreements([selection(float("nan"), "no events above the window")])
    assert "has no number: no events above the window" in reason


def test_what_the_classifiers_learned_is_said_in_two_sentences_however_many_there_are():
    text = learning([("A1", 0.56, 0.01), ("A2", 0.51, 0.01), ("B1", 0.49, 0.01)])
    assert text.startswith("Out of fold the classifiers of A1 (0.560 ± 0.010) tell window from sidebands (AUC). Over")
    assert "those of A2 (0.510 ± 0.010), B1 (0.490 ± 0.010) do so no better than chance" in text


@pytest.mark.parametrize("gaussian", [True, False])
def test_an_extrapolated_p_value_says_that_it_is_one_and_a_null_that_is_not_gaussian_has_none(gaussian):
    rng = np.random.default_rng(0)
    toys = rng.normal(size=(60, 2, 1)) if gaussian else rng.exponential(size=(60, 2, 1))
    result = Counting("W1", 0.1, 90, 40.0, 2.0, 9.0, 1e-12)
    calibrated = calibrate([result], [Template(40.0, 2.0, 9.0, 0.5, 0.0)], toys)
    text = describe([result], calibrated, global_p(calibrated, toys, [2800.0]), None, [], [])
    assert ("supposes that the null is Gaussian beyond the 60 pseudo-experiments; 741 of them" in text) == gaussian
    assert ("quote the p by rank" in text) != gaussian
    assert ("cannot explain without a signal" in text) == gaussian
