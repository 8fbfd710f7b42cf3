import numpy as np
import pytest

from jepa_coffea.bumphunt.counting_limit import counting_limit
from jepa_coffea.bumphunt.limits import cls_limit
from jepa_coffea.bumphunt.window_model import WindowModel
from jepa_coffea.errors import HistogramError


@pytest.mark.parametrize(("n", "b", "sigma"), [(8.0, 10.0, 2.0), (480.0, 500.0, 18.0), (60.0, 40.0, 5.0)])
def test_the_closed_form_is_what_pyhf_finds(n, b, sigma):
    one = np.ones(1)
    model = WindowModel(
        "w", np.array([0.0, 1.0]), n * one, b * one, one, np.array([[b + sigma]]), np.array([[b - sigma]])
    )
    assert counting_limit(n, b, sigma) == pytest.approx(cls_limit(model).events, rel=0.01)


def test_a_known_large_background_gives_the_gaussian_limit():
    # CLs with n = b: the tail beyond the limit is 0.05 of the half above the median.
    assert counting_limit(1e6, 1e6, 1.0) == pytest.approx(1.95996 * 1e3, rel=2e-3)


def test_more_uncertainty_and_more_events_mean_weaker_limits():
    assert counting_limit(50, 50, 10) > counting_limit(50, 50, 1)
    assert counting_limit(0, 3, 1) > 2
    with pytest.raises(HistogramError, match="expected n >= 0"):
        counting_limit(5, 5, float("nan"))
