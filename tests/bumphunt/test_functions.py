from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate

from jepa_coffea.bumphunt import HistogramError
from jepa_coffea.bumphunt.functions import DIJET_FAMILY, FUNCTIONS, check_masses, get_function, quadrature

PARAMETERS = {
    "dijet2": (9.0, 4.5),
    "dijet3": (9.0, 5.0, 0.2),
    "dijet4": (9.0, 5.0, 0.3, 0.05),
    "dijet5": (9.0, 5.0, 0.3, 0.05, 2.0),
    "expdijet2": (12.0, 4.0),
    "expdijet3": (12.0, 4.0, 0.1),
    "powexp3": (4.0, 8.0, 5.0),
}


def written_out(name: str, x: float, p: tuple[float, ...]) -> float:
    """The formulas as the papers print them."""
    log = np.log(x)
    match name:
        case "dijet2":
            return (1 - x) ** p[0] / x ** p[1]
        case "dijet3":
            return (1 - x) ** p[0] / x ** (p[1] + p[2] * log)
        case "dijet4":
            return (1 - x) ** p[0] / x ** (p[1] + p[2] * log + p[3] * log**2)
        case "dijet5":
            return (1 - x) ** p[0] / x ** (p[1] + p[2] * log + p[3] * log**2) * np.exp(-p[4] * x)
        case "expdijet2":
            return np.exp(-p[0] * x) / x ** p[1]
        case "expdijet3":
            return np.exp(-p[0] * x) / x ** (p[1] + p[2] * log)
        case "powexp3":
            return x ** -p[0] * np.exp(-p[1] * x - p[2] * x**2)
    raise AssertionError(name)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bin_integrals(name: str) -> None:
    function, p = FUNCTIONS[name], PARAMETERS[name]
    edges = np.array([1200.0, 1250.0, 1600.0, 2600.0, 6000.0])
    mass, weights = quadrature(edges)
    mine = (weights * np.exp(function.design(mass / 13000) @ np.array([0.0, *p]))).sum(axis=1)
    exact = [
        integrate.quad(lambda m: written_out(name, m / 13000, p), a, b, epsrel=1e-12)[0] for a, b in pairwise(edges)
    ]
    # The last bin spans a factor of 2.3 in mass, far wider than any binning in use.
    assert mine[:3] == pytest.approx(exact[:3], rel=2e-6)
    assert mine[3] == pytest.approx(exact[3], rel=2e-3)


def test_family_is_nested() -> None:
    x = np.linspace(0.1, 0.5, 7)
    for small, large in pairwise(DIJET_FAMILY):
        a, b = FUNCTIONS[small].design(x), FUNCTIONS[large].design(x)
        assert np.array_equal(a, b[:, : a.shape[1]])
        assert b.shape[1] == a.shape[1] + 1


def test_unknown_name() -> None:
    with pytest.raises(HistogramError, match="dijet2, dijet3"):
        get_function("landau")


def test_masses_in_tev_beside_an_energy_in_gev_are_noticed() -> None:
    with pytest.raises(HistogramError, match="are the masses in TeV"):
        check_masses(np.array([1.5, 2.0, 8.0]), 13000.0)
    check_masses(np.array([60.0, 110.0]), 13000.0)


def test_a_misspelt_function_is_guessed() -> None:
    with pytest.raises(HistogramError, match=r"did you mean 'dijet3'\?"):
        get_function("dijet_3")


def test_more_parameters_need_more_events() -> None:
    floors = [get_function(name).minimum_events for name in ("dijet2", "dijet3", "dijet4", "dijet5")]
    assert np.all(np.diff(floors) > 0)
