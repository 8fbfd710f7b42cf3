import warnings

import numpy as np
import pytest

from jepa_coffea.bumphunt import HistogramError, counting_significance, p_value, z_value

# Published closed forms evaluated, and what pyhf gives for the same counting experiments.
REFERENCE = [(150, 100, 10, 3.1730, 3.2893), (30, 10, 2, 4.0247, 4.2045), (1200, 1000, 40, 3.7294, 3.8177)]


@pytest.mark.parametrize(("n", "b", "sigma", "poisson", "gaussian"), REFERENCE)
def test_reference_values(n: float, b: float, sigma: float, poisson: float, gaussian: float) -> None:
    assert counting_significance(n, b, sigma) == pytest.approx(poisson, abs=5e-5)
    assert counting_significance(n, b, sigma, constraint="gaussian") == pytest.approx(gaussian, abs=5e-5)


@pytest.mark.parametrize("modifier", ["shapesys", "staterror"])
@pytest.mark.parametrize(("n", "b", "sigma"), [(150, 100, 10), (30, 10, 2), (12, 10, 3), (7, 2.5, 0.5), (4, 1, 0.9)])
def test_equals_pyhf(n: float, b: float, sigma: float, modifier: str) -> None:
    import pyhf

    model = pyhf.Model(
        {
            "channels": [
                {
                    "name": "window",
                    "samples": [
                        {"name": "s", "data": [1.0], "modifiers": [{"name": "mu", "type": "normfactor", "data": None}]},
                        {"name": "b", "data": [b], "modifiers": [{"name": "u", "type": modifier, "data": [sigma]}]},
                    ],
                }
            ]
        },
        poi_name="mu",
    )
    bounds = model.config.suggested_bounds()
    bounds[model.config.poi_index] = (0.0, 10.0 * n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        p0 = pyhf.infer.hypotest(0.0, [n, *model.config.auxdata], model, test_stat="q0", par_bounds=bounds)
    constraint = "poisson" if modifier == "shapesys" else "gaussian"
    assert counting_significance(n, b, sigma, constraint) == pytest.approx(float(z_value(p0)), abs=1e-3)


@pytest.mark.parametrize("constraint", ["poisson", "gaussian"])
def test_limits_and_signs(constraint: str) -> None:
    z = counting_significance([60, 100, 140], 100, 10, constraint)
    assert z[0] < 0 == z[1] < z[2]
    # A background known ever better tends to the known one, without a jump.
    known = counting_significance(150, 100, 0, constraint)
    assert known == pytest.approx(np.sqrt(2 * (150 * np.log(1.5) - 50)), rel=1e-12)
    assert counting_significance(150, 100, 1e-5, constraint) == pytest.approx(known, rel=1e-6)
    # The usual limit of many events and a small excess.
    expected = 100 / np.hypot(np.sqrt(1e6), 300)
    assert counting_significance(1e6 + 100, 1e6, 300, constraint) == pytest.approx(expected, rel=1e-3)
    assert counting_significance(0, 10, 2, constraint) < -2
    assert counting_significance(0, 0, 0, constraint) == 0
    assert counting_significance(3, 0, 0, constraint) == np.inf
    # Rounding near n = b must not make a square root of something negative.
    assert np.all(np.isfinite(counting_significance(1e8 + np.arange(5), 1e8, 1e-3, constraint)))


def test_an_uncertainty_without_a_square_is_none() -> None:
    for constraint in ("poisson", "gaussian"):
        z = counting_significance([3, 0], 1e-8, 1e-170, constraint)
        assert z == pytest.approx(counting_significance([3, 0], 1e-8, 0.0, constraint))


def test_a_poisson_measurement_of_nothing_tells_nothing() -> None:
    assert counting_significance(5, 0, 1) == 0
    assert counting_significance(5, 1e-12, 1) == pytest.approx(0, abs=1e-3)
    assert counting_significance(5, 0, 1, "gaussian") > 2


def test_monotonic_and_broadcast() -> None:
    z = counting_significance(np.arange(0, 300)[:, None], 100.0, np.array([0.0, 5.0, 20.0]))
    assert z.shape == (300, 3)
    assert np.all(np.diff(z, axis=0) > 0)
    assert np.all(np.diff(np.abs(z[:100]), axis=1) < 0)


@pytest.mark.parametrize("bad", [(-1, 1, 1), (1, -1, 1), (1, 1, -1), (np.nan, 1, 1), (1, np.inf, 1)])
def test_refuses(bad: tuple[float, float, float]) -> None:
    with pytest.raises(HistogramError, match="finite, non-negative"):
        counting_significance(*bad)
    with pytest.raises(HistogramError, match="constraint"):
        counting_significance(1, 1, 1, "normal")  # type: ignore[arg-type]


def test_p_and_z() -> None:
    assert p_value(2.0) == pytest.approx(0.02275, abs=1e-5)
    assert p_value(2.0, "deficit") == pytest.approx(1 - 0.02275, abs=1e-5)
    assert z_value(p_value([-3.0, 0.0, 8.0])) == pytest.approx([-3, 0, 8])
    with pytest.raises(HistogramError, match=r"\[0, 1\]"):
        z_value(1.2)
