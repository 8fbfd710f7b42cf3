import numpy as np
import pytest

from jepa_coffea.hunt.feature_kinds import column_of, has_step


def test_kinds_of_features():
    rng = np.random.default_rng(0)
    normal, integer = rng.normal(size=2000), rng.poisson(50, 2000).astype(float)
    assert column_of(normal).values is None
    assert column_of(integer).values is not None
    assert not column_of(integer).is_class
    assert column_of(np.log(integer)).values is not None
    assert column_of(rng.integers(0, 3, 2000).astype(float)).is_class
    assert list(column_of(np.where(rng.random(2000) < 0.6, -1, normal)).special) == [-1]
    assert list(column_of(np.where(rng.random(2000) < 0.1, -999, integer)).special) == [-999]
    assert column_of(np.full(2000, 7.0)).is_class
    assert column_of(rng.permutation(10_000)[:2000].astype(float)).values is not None
    assert list(column_of(np.where(rng.random(2000) < 0.6, -1, rng.integers(0, 10_000, 2000))).special) == [-1]
    assert list(column_of(np.where(rng.random(2000) < 0.4, 0, integer)).special) == [0]
    few = column_of(rng.poisson(50, 200).astype(float))
    assert few.values is not None
    assert not few.special.size


@pytest.mark.parametrize("step", [5, 1, 0.5, 0.1, 0.01, 0.0873, 1 / 3])
@pytest.mark.parametrize("start", [0, 0.5, -300])
def test_a_step_is_found_in_single_precision(step, start):
    x = start + step * np.round(np.random.default_rng(0).gamma(3, 1000, 2000))
    assert has_step(np.unique(x.astype(np.float32)).astype(float))


@pytest.mark.parametrize("size", [1e-6, 1, 1e3, 1e8])
def test_continuous_features_have_no_step(size):
    rng = np.random.default_rng(0)
    for x in (rng.normal(size=2000), rng.random(200), rng.exponential(size=2000), 5 + 0.01 * rng.normal(size=200)):
        assert not has_step(np.unique((size * x).astype(np.float32)).astype(float))


def test_the_spacing_of_the_numbers_of_a_computer_is_no_step():
    first, second = (0.1 + 1e-5 * np.random.default_rng(0).normal(size=(2, 2000))).astype(np.float32)
    assert not has_step(np.unique(np.abs(first - second)).astype(float))
