import numpy as np
import pytest

from jepa_coffea.cwola.weights import EmptyRegionError, WeightError, balanced, match_to_window
from jepa_coffea.cwola.windows import HIGH, LOW, WINDOW


def test_balance_is_a_quarter_a_half_a_quarter():
    rng = np.random.default_rng(0)
    region = rng.choice([LOW, WINDOW, HIGH], 4000, p=[0.6, 0.3, 0.1]).astype(np.int8)
    weights = rng.uniform(0.5, 2, 4000)
    result = balanced(region, weights)
    sums = [result[region == code].sum() for code in (LOW, WINDOW, HIGH)]
    assert sums == pytest.approx([1000, 2000, 1000])
    inside = region == HIGH
    assert np.ptp(result[inside] / weights[inside]) == pytest.approx(0)


def test_matching_makes_sidebands_look_like_the_window():
    rng = np.random.default_rng(1)
    region = np.repeat([LOW, WINDOW, HIGH], [20_000, 10_000, 20_000]).astype(np.int8)
    centre = np.choose(region + 1, [0.0, 0.5, 1.0])
    variables = rng.normal(size=(50_000, 2)) + centre[:, None]
    weights = match_to_window(variables, region, np.ones(50_000))
    for code in (LOW, HIGH):
        here = region == code
        means = np.average(variables[here], axis=0, weights=weights[here])
        # 20 quantile bins leave the slope inside a bin; the half unit of difference must shrink by more than ten.
        assert np.abs(means - variables[region == WINDOW].mean(axis=0)).max() < 0.05
    assert (weights[region == WINDOW] == 1).all()


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_weights_that_are_no_weights(bad):
    region = np.array([LOW, WINDOW, HIGH, HIGH], np.int8)
    with pytest.raises(WeightError, match=r"1 of 4 are (negative|not finite)"):
        balanced(region, np.array([1.0, 1.0, 1.0, bad]))


def test_an_empty_region_is_named():
    with pytest.raises(EmptyRegionError, match="high sideband"):
        balanced(np.array([LOW, WINDOW], np.int8), np.ones(2))
