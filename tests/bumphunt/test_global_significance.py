from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from jepa_coffea.bumphunt import HistogramError, WindowSearch, as_spectrum, global_significance, shape_search
from jepa_coffea.bumphunt.global_significance import gross_vitells
from tests.bumphunt.conftest import Truth


def test_toys_and_gross_vitells_agree(truth: Truth) -> None:
    search = shape_search((truth.observed(1, signal=110), truth.edges))
    result = global_significance([[search]], toys=1500)
    assert result.local_z > 2.5
    assert result.local_p < result.p < len(search.masses) * result.local_p
    assert result.p_low < (result.p * 1501 - 1) / 1500 < result.p_high
    assert result.gross_vitells_p == pytest.approx(result.p, rel=0.5)
    assert result.p == (1 + result.exceeding) / 1501
    assert result.failed == 0
    assert result.hypothesis.startswith("m = 2")


def test_looking_twice_at_nested_selections_costs_less_than_two_independent_looks(truth: Truth) -> None:
    loose = truth.observed(2, signal=60)
    tight = np.random.default_rng(0).binomial(loose.astype(int), 0.7).astype(float)
    searches = [
        WindowSearch(name, as_spectrum((n, truth.edges)), "dijet2", 13000.0, (truth.window,))
        for name, n in (("all", loose), ("70 %", tight))
    ]
    nested = global_significance([searches], toys=2000)
    apart = global_significance([[search] for search in searches], toys=2000)
    assert nested.hypotheses == apart.hypotheses == 2
    assert nested.local_p < nested.p < apart.p < 2.6 * nested.local_p + 0.01
    assert np.isnan(nested.gross_vitells_p)


def test_gross_vitells_beside_windows_adds_a_trial_for_each(truth: Truth) -> None:
    search = shape_search((truth.observed(1, signal=110), truth.edges))
    window = WindowSearch("window", search.spectrum, "dijet3", 13000.0, (truth.window,))
    alone, both = (global_significance([family], toys=300) for family in ([search], [window, search]))
    assert both.local_z == alone.local_z
    assert both.gross_vitells_p == pytest.approx(alone.gross_vitells_p + alone.local_p)


def test_no_toy_above_the_data_is_a_bound_not_a_zero(truth: Truth) -> None:
    search = shape_search((truth.observed(3, signal=600), truth.edges), [2700])
    result = global_significance([[search]], toys=100)
    assert result.exceeding == 0
    assert result.p == pytest.approx(1 / 101)
    assert result.z < result.local_z
    assert result.p_low == 0 < result.p_high
    assert result.is_bound
    assert result.sentence.startswith("The global p-value is below 0.0099 (more than 2.33")
    assert "none of 100 toys" in result.sentence


@dataclass(frozen=True)
class Fails:
    """A search that cannot be fitted in a share of the toys."""

    inner: object

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    @property
    def in_toys(self) -> "Fails":
        return self

    def local_z(self, counts: np.ndarray) -> np.ndarray:
        z = self.inner.local_z(counts)  # type: ignore[attr-defined]
        if len(z) > 1:
            z[::60] = np.nan
        return z


def test_failed_toys_do_not_hide_a_bump_and_are_named(truth: Truth) -> None:
    """A bump of many sigma: failed toys are no toys that reach it."""
    search = shape_search((truth.observed(3, signal=600), truth.edges), [2700])
    result = global_significance([[Fails(search)]], toys=400)  # type: ignore[list-item]
    assert result.local_z > 8
    assert result.failed == 8
    assert result.exceeding == 0
    assert result.p == pytest.approx(1 / 393)
    assert result.p_failed_exceed == pytest.approx(9 / 401)
    assert np.isnan(result.maxima).sum() == 8
    assert "The fits of 8 more toys failed; had all of these reached it, the p-value would be 0.022." in result.sentence
    assert "Gross and Vitells" in result.sentence
    # A few hundred toys do not make eight standard deviations no evidence.
    assert result.strongest_p == result.gross_vitells_p < 1e-10


def test_refuses_a_global_p_value_without_toys(truth: Truth) -> None:
    search = shape_search((truth.observed(3), truth.edges), [2700])
    with pytest.raises(HistogramError, match="at least one toy"):
        global_significance([[search]], toys=0)


def test_gross_vitells_of_a_smooth_gaussian_process() -> None:
    """Independent check on a process whose maxima can be drawn directly."""
    rng = np.random.default_rng(0)
    kernel = np.exp(-0.5 * ((np.arange(200) - 100) / 5) ** 2)
    kernel /= np.sqrt((kernel**2).sum())
    z = np.array([np.convolve(row, kernel, "valid") for row in rng.standard_normal((6000, 400))])
    few = gross_vitells(z[:100], 2.8)
    assert few == pytest.approx((z.max(axis=1) > 2.8).mean(), rel=0.2)
    assert gross_vitells(z, 0.5) == pytest.approx(1.0)
    assert few > stats.norm.sf(2.8)
