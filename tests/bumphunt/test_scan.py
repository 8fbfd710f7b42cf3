import numpy as np
import pytest

from jepa_coffea.bumphunt import (
    HistogramError,
    fit_background,
    global_significance,
    p_value,
    scan,
    shape_search,
    width_searches,
)
from jepa_coffea.bumphunt.toys import draw
from tests.bumphunt.conftest import Truth


def test_equals_two_minuit_fits(truth: Truth) -> None:
    """q0 is the fall in deviance between iminuit's fits without and with signal."""
    n = truth.observed(1, signal=120)
    result = scan((n, truth.edges), [2000, 2700, 3500], toys=0)
    alone = fit_background((n, truth.edges), toys=0)
    search = shape_search((n, truth.edges), result.masses)
    for i, template in enumerate(search.templates):
        both = fit_background((n, truth.edges), signal=template, toys=0)
        assert both.signal_yield is not None
        z = np.sign(both.signal_yield) * np.sqrt(alone.deviance - both.deviance)
        # Excesses are fitted, deficits are one Newton step: nearly the same for small ones.
        tolerance = {"abs": 1e-3} if z > 0 else {"abs": 0.05}
        assert result.z[i] == pytest.approx(z, **tolerance)
        assert result.yields[i] == pytest.approx(both.signal_yield, rel=1e-2 if z > 0 else 0.1)
        assert result.errors[i] == pytest.approx(both.signal_error, rel=0.05)
    assert result.p0 == pytest.approx(p_value(result.z))
    assert result.masses[result.best] == 2700
    assert result.z[result.best] > 3


def test_asimov_signal_is_found_with_its_yield(truth: Truth) -> None:
    result = scan((truth.background + 150 * truth.bump(2700, 135), truth.edges), toys=0)
    assert result.masses[result.best] == pytest.approx(2700, rel=0.02)
    at = scan((truth.background + 150 * truth.bump(2700, 135), truth.edges), [2700], toys=0)
    assert at.yields[0] == pytest.approx(150, abs=0.1)
    assert at.z[0] == pytest.approx(at.yields[0] / at.errors[0], rel=0.1)
    nothing = scan((truth.background, truth.edges), toys=0)
    assert np.abs(nothing.z).max() < 0.01


def test_sparse_spectrum_gives_finite_numbers(truth: Truth) -> None:
    result = scan((truth.observed(3, scale=0.01), truth.edges), function="dijet2", toys=0)
    assert np.isfinite(result.z).all()
    assert np.isfinite(result.errors).all()


def test_refuses(truth: Truth) -> None:
    n = truth.observed(4)
    with pytest.raises(HistogramError, match="less than half of the signal"):
        scan((n, truth.edges), [2000, 9000])
    with pytest.raises(HistogramError, match="row of masses"):
        scan((n, truth.edges), [])


def test_several_widths_are_trials_of_one_search(truth: Truth) -> None:
    data = (truth.observed(1, signal=110), truth.edges)
    searches = width_searches(data, [0.03, 0.05, 0.1])
    assert [search.name for search in searches] == [f"spectrum, width {width} %" for width in (3, 5, 10)]
    alone = global_significance([searches[1:2]], toys=300)
    together = global_significance([searches], toys=300)
    assert together.hypotheses == sum(len(search.masses) for search in searches)
    assert together.local_z >= alone.local_z
    assert together.p > together.local_p
    # All widths are redone on the same toys.
    rng = np.random.default_rng(0)
    a, b, c = draw(searches, 5, rng)
    assert np.array_equal(a, b)
    assert np.array_equal(b, c)
