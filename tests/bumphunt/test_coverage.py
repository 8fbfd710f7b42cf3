import numpy as np
import pytest

from jepa_coffea.bumphunt import HistogramError, check_coverage, global_significance, p_value, shape_search
from tests.bumphunt.conftest import Truth


def test_recognises_uniform_and_other_p_values() -> None:
    rng = np.random.default_rng(0)
    good = check_coverage(p_value(rng.standard_normal(5000)))
    assert np.abs(good.pulls).max() < 3.5
    assert good.kolmogorov_p > 0.001
    bad = check_coverage(p_value(1.17 * rng.standard_normal(5000)))
    assert bad.pulls[2] > 5
    assert bad.kolmogorov_p < 0.001
    with pytest.raises(HistogramError, match="row of p-values"):
        check_coverage([0.5, 1.5])


def test_local_and_global_p_of_refitted_toys_are_uniform(truth: Truth) -> None:
    rng = np.random.default_rng(1)
    pseudo = rng.poisson(truth.background, (1000, 30)).astype(float)
    masses = np.array([2200.0, 2500, 2800, 3100])
    search = shape_search((pseudo[0], truth.edges), masses)
    local = check_coverage(p_value(search.local_z(pseudo)[:, 1]))
    assert np.abs(local.pulls).max() < 3.5
    assert local.kolmogorov_p > 0.001
    # Each pseudo-experiment is fitted, gets toys of its own fit, and those are refitted again.
    p = [
        global_significance([[shape_search((row, truth.edges), masses)]], toys=60, seed=i).p
        for i, row in enumerate(pseudo[:60])
    ]
    assert check_coverage(p).kolmogorov_p > 0.005
