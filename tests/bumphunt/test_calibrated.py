import numpy as np
import pytest

from jepa_coffea.bumphunt import HistogramError, ZCalibration, calibrated_background, counting_significance


@pytest.mark.parametrize(("mean", "width"), [(0.0, 1.35), (0.3, 1.2), (1.5, 1.1), (-0.4, 1.0)])
def test_counts_of_a_biased_search_get_a_unit_gaussian_z(mean: float, width: float) -> None:
    """Counts drawn with that mean and width: the calibrated background turns them into Z of mean 0 and width 1."""
    b, sigma_b = 400.0, 25.0
    total = np.sqrt(b + sigma_b**2)
    rng = np.random.default_rng(0)
    # What is counted minus what is expected, with the mean and the width that pseudo-experiments have found.
    n = np.maximum(b + total * (mean + width * rng.standard_normal(20_000)), 0)
    moved, widened = calibrated_background(b, sigma_b, ZCalibration(mean, width, 200, 0.0))
    z = counting_significance(n, moved, widened)
    assert z.mean() == pytest.approx(0, abs=0.06)
    assert z.std() == pytest.approx(1, abs=0.04)


def test_an_unbiased_search_stays_as_it_is() -> None:
    assert calibrated_background(100.0, 10.0, ZCalibration(0.0, 1.0, 200, 1.0)) == pytest.approx((100.0, 10.0))
    # Nobody's counts fluctuate less than Poisson's law says.
    assert calibrated_background(100.0, 10.0, ZCalibration(0.0, 0.9, 200, 1.0)) == pytest.approx((100.0, 10.0))


def test_the_choice_of_the_function_widens_beside_the_pseudo_experiments() -> None:
    """Their width is below 1 where Z counts an error that they do not have."""
    calibration = ZCalibration(0.0, 0.8, 200, 1.0, 0.6)
    assert calibrated_background(100.0, 10.0, calibration) == pytest.approx((100.0, 10.0))
    wide = ZCalibration(0.0, 0.8, 200, 1.0, 0.9)
    assert calibrated_background(100.0, 10.0, wide)[1] ** 2 == pytest.approx(200 * (0.8**2 + 0.9**2) - 100)
    assert "the choice of the function adds 0.900 in quadrature" in wide.sentence


def test_the_sentence_has_the_numbers() -> None:
    sentence = ZCalibration(0.05, 1.35, 100, 4.54).sentence
    assert "100 background-only pseudo-experiments" in sentence
    assert "mean 0.050 and width 1.350" in sentence
    assert "corrected significance is 4.54" in sentence


def test_refuses() -> None:
    with pytest.raises(HistogramError, match="positive width"):
        ZCalibration(0.0, 0.0, 100, 1.0)
