from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jepa_coffea.hunt.blinding import describe_blind
from jepa_coffea.hunt.calibration import calibrate
from jepa_coffea.hunt.look_elsewhere import global_p
from jepa_coffea.hunt.state import CalibrationResult, HuntResult, SelectionResult
from jepa_coffea.hunt.verdict import describe, disagreements, headline, learning, reasons_against
from tests.hunt.make import selection


def test_background_estimates_that_disagree_forbid_quoting():
    agreeing = [selection(1.2, 1.0, pull=0.5), selection(1.2, 1.0, pull=-2.9), selection(1.2)]
    assert disagreements([SelectionResult(one) for one in agreeing]) == []
    (reason,) = disagreements([SelectionResult(selection(1.2, 1.0, pull=-3.4))])
    assert "W1, efficiency 0.1 disagree by 3.4 standard deviations: 40.0 ± 2.0 by the fitted function" in reason
    assert "29.9 ± 2.2 by the sideband efficiency" in reason
    (reason,) = disagreements([SelectionResult(selection(1.2, 1.0, pull=-3.4))], blind=True)
    assert reason == "the background estimates of W1, efficiency 0.1 disagree by more than 3 standard deviations"
    (reason,) = disagreements([SelectionResult(selection(1.2, sideband_efficiency="no events above the window"))])
    assert "no background for W1, efficiency 0.1: no events above the window" in reason


def test_what_the_classifiers_learned_is_said_in_two_sentences_however_many_there_are():
    text = learning([("A1", 0.56, 0.01), ("A2", 0.51, 0.01), ("B1", 0.49, 0.01)])
    assert text.startswith("Out of fold the classifiers of A1 (0.560 ± 0.010) tell window from sidebands (AUC). Over")
    assert "those of A2 (0.510 ± 0.010), B1 (0.490 ± 0.010) do so no better than chance" in text


def searched(selections, toys):
    """A hunt with these selections, calibrated by these toys (experiments, estimates, selections)."""
    corrected = calibrate(selections, toys)
    search = global_p([one["function"] for one in corrected], toys[:, 0], [0.1] * len(selections), [2800.0] * 2)
    findings = [SelectionResult(one, found) for one, found in zip(selections, corrected, strict=True)]
    return HuntResult(Path(), [], findings, CalibrationResult(corrected, search, toys))


@pytest.mark.parametrize("gaussian", [True, False])
def test_an_extrapolated_p_value_says_that_it_is_one_and_a_null_that_is_not_gaussian_has_none(gaussian):
    rng = np.random.default_rng(0)
    toys = rng.normal(size=(60, 2, 1)) if gaussian else rng.exponential(size=(60, 2, 1))
    text = describe(searched([selection(9.0, 9.0)], toys), [], [])
    assert ("assumes that the null is Gaussian also where none of the 60 pseudo-experiments reach" in text) == gaussian
    assert ("quote the p by rank" in text) != gaussian
    assert ("cannot explain without a signal" in text) == gaussian


def test_a_bound_set_by_failed_fits_is_called_one_and_hides_no_bump():
    toys = np.random.default_rng(0).normal(size=(60, 2, 1))
    toys[:3, 0] = np.nan
    text = describe(searched([selection(9.0, 9.0)], toys), [], [])
    assert "the global p-value is < 0.066: none of 57 pseudo-experiments" in text
    assert "In 3 more a fit failed" in text
    assert "cannot explain without a signal" in text
    text = describe(searched([selection(2.6, 2.6)], toys), [], [])
    assert "only an upper bound" in text
    assert "there can be no evidence of a signal, and none is excluded" in text


def test_a_selection_without_a_number_leaves_the_others_standing_and_is_named():
    toys = np.random.default_rng(0).normal(size=(60, 2, 2))
    found = searched([selection(1.0, 1.0, function="no fit"), selection(2.0, 2.0, window="W2")], toys)
    assert found.calibration.search.where == 1
    (reason,) = reasons_against(found, 0.01)
    assert reason == "W1, efficiency 0.1 has no number: no fit"
    text = describe(found, [], [reason])
    assert "in window W2" in text
    assert "Over the one selection (window and efficiency)" in text
    assert "must not be quoted: W1, efficiency 0.1 has no number" in text


def test_the_fit_behind_the_pseudo_data_has_a_gate():
    toys = np.random.default_rng(0).normal(size=(60, 2, 2))
    found = searched([selection(1.0, 1.0), selection(2.0, 2.0, window="W2")], toys)
    assert reasons_against(found, 0.01) == []
    bad = replace(found, calibration=replace(found.calibration, fit_p=0.002))
    (reason,) = reasons_against(bad, 0.01)
    assert (
        reason == "the background fit of the whole spectrum, of which pseudo-data are made, has p = 0.002, below 0.01"
    )
    (reason,) = reasons_against(bad, 0.01, blind=True)
    assert reason == "the background fit of the whole spectrum, of which pseudo-data are made, has p below 0.01"


def test_a_transfer_factor_that_is_not_smooth_forbids_the_result_by_it():
    rough = selection(1.0, 1.0)
    rough = replace(rough, sideband_efficiency=replace(rough.sideband_efficiency, fit_p=1e-9))
    found = searched([rough], np.random.default_rng(0).normal(size=(60, 2, 1)))
    (reason,) = reasons_against(replace(found, background="sideband_efficiency"), 0.01)
    assert reason == (
        "the transfer factor of W1, efficiency 0.1, which the result is by, is not smooth in the sidebands: p = 1e-09, "
        "below 0.01"
    )
    assert reasons_against(replace(found, background="function"), 0.01) == []  # where it is the cross-check


def test_pseudo_experiments_that_calibrate_nothing_are_not_denied():
    toys = np.random.default_rng(0).normal(size=(60, 2, 1))
    toys[:30] = np.nan
    found = searched([selection(9.0, 9.0)], toys)
    assert "60 pseudo-experiments were made and calibrate no selection. The sum over folds" in describe(found, [], [])
    assert dict(headline(found))["Global p"] == "none: 60 pseudo-experiments were made and calibrate no selection"
    none = replace(found, calibration=CalibrationResult())
    reason = "no significance is calibrated: there are no pseudo-experiments (calibration.experiments)"
    assert reason in reasons_against(none, 0.01)
    assert reason not in reasons_against(found, 0.01)
    assert dict(headline(none))["Global p"] == "none: there are no pseudo-experiments"


def test_a_p_by_rank_that_no_toy_reaches_is_a_bound():
    toys = np.random.default_rng(0).normal(size=(60, 2, 1))
    assert "by rank below 0.016)" in describe(searched([selection(9.0, 9.0)], toys), [], [])
    assert "by rank below" not in describe(searched([selection(1.0, 1.0)], toys), [], [])


def test_limits_that_cannot_be_set_are_said_with_the_result_blind_or_not():
    found = HuntResult(
        Path(), (), mass_limits={"width 0.05": "no fit", "width 0.1": "singular"}, reasons=["limits: singular"]
    )
    sentence = "There are no limits against mass, width 0.05: no fit."
    assert found.without_limits == [sentence]
    assert sentence in describe(found, [], found.reasons)
    assert sentence in describe_blind(found)
