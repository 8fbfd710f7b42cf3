"""Six million events of collision data over four orders of magnitude: fits, limits, spurious signal, global p-value."""

import numpy as np
import pytest
from iminuit import Minuit
from scipy import special, stats

from jepa_coffea.bumphunt import (
    Gaussian,
    SignalSystematics,
    counting_limit,
    f_test,
    fit_background,
    function_uncertainty,
    global_significance,
    mass_limits,
    scan,
    spurious_yields,
    width_limits,
    width_searches,
)
from tests.bumphunt.cms_dijets import COUNTS, EDGES, LUMINOSITY

DATA = (COUNTS, EDGES)
MASSES = np.arange(1800.0, 7601.0, 400.0)


def density(x: np.ndarray, p: np.ndarray) -> np.ndarray:
    """The published function of three shape parameters, its logarithm about x = 0.25."""
    t = np.log(x / 0.25)
    return np.exp(p[0] + p[1] * (np.log1p(-x) - np.log(0.75)) - p[2] * t - p[3] * t**2)


def smallest(counts: np.ndarray, signal: np.ndarray, strength: float | None) -> tuple[float, float]:
    """Deviance and strength by Minuit, in parameters and with an integration of its own; None fits the strength."""
    nodes = np.linspace(0, 1, 41)
    mass = EDGES[:-1, None] + np.diff(EDGES)[:, None] * nodes
    weights = np.full(41, 2.0)
    weights[1::2], weights[[0, -1]] = 4.0, 1.0  # Simpson
    weights = weights / weights.sum() * np.diff(EDGES)[:, None]
    unit = np.sqrt(counts.sum()) / 10

    def cost(p: np.ndarray) -> float:
        mu = (density(mass / 13000, p) * weights).sum(axis=1) + p[4] * unit * signal
        mu = np.maximum(mu, 1e-9)
        return float(2 * (special.rel_entr(counts, mu) - counts + mu).sum())

    start = [np.log(6e6 / 13000) - 3.2, 8.0, 6.0, 0.1, 0.0 if strength is None else strength / unit]
    minuit = Minuit(cost, start)
    minuit.errordef = 1
    minuit.tol = 1e-3
    minuit.errors = (0.01, 0.5, 0.3, 0.1, 0.1)
    minuit.fixed[4] = strength is not None
    minuit.strategy = 2
    for _ in range(3):
        minuit.migrad(ncall=20000)
    return float(minuit.fval), float(minuit.values[4] * unit)


def test_the_published_function_describes_the_data() -> None:
    fit = fit_background(DATA, "dijet3", toys=200)
    assert fit.p_value > 0.05
    assert fit.deviance == pytest.approx(smallest(COUNTS, np.zeros(len(COUNTS)), 0.0)[0], abs=1e-2)
    assert f_test(DATA, toys=200).function == "dijet2"


def test_limits_over_the_whole_range() -> None:
    curve = mass_limits(DATA, MASSES, luminosity=LUMINOSITY)
    assert np.isfinite(curve.cross_section).all()
    assert (np.diff(curve.expected_cross_section, axis=1) > 0).all()
    inside = (curve.expected_events[:, 0] < 1.5 * curve.events) & (curve.events < 1.5 * curve.expected_events[:, 4])
    assert inside.all()
    # From some ten fb at 2 TeV to a tenth at 7 TeV, as in the published limits.
    assert 5 < np.interp(2600, curve.points, curve.cross_section) < 50
    assert 0.03 < np.interp(7000, curve.points, curve.cross_section) < 0.5


@pytest.mark.parametrize("mass", [2600.0, 5000.0])
def test_a_limit_is_where_an_independent_cls_says(mass: float) -> None:
    signal = Gaussian(0.05).template(EDGES, mass)
    limit = mass_limits(DATA, [mass]).events[0]
    null = fit_background(DATA, "dijet3", toys=0).expected
    roots = []
    for counts in (COUNTS, null):
        least, best = smallest(counts, signal, None)
        if best < 0:
            least = smallest(counts, signal, 0.0)[0]
        roots.append(np.sqrt(max(smallest(counts, signal, float(limit))[0] - least, 0.0)))
    q, a = roots
    if q <= a:
        cls = stats.norm.sf(q) / stats.norm.sf(q - a)
    else:
        cls = stats.norm.sf((q**2 / a + a) / 2) / stats.norm.sf((q**2 / a - a) / 2)
    assert cls == pytest.approx(0.05, abs=0.002)


def test_spurious_signal_is_counted() -> None:
    """Beside six million events dijet3 fakes most of a standard deviation into the curve of another good function."""
    spurious = spurious_yields(DATA, masses=MASSES, toys=200)
    assert [study.truth for study in spurious.studies] == ["powexp3"]
    assert not spurious.passed
    bare, counted = scan(DATA, MASSES, toys=0), scan(DATA, MASSES, spurious=spurious.events, toys=0)
    expected = bare.z / np.sqrt(1 + (spurious.events / bare.errors) ** 2)
    assert counted.z == pytest.approx(expected)
    weaker = mass_limits(DATA, MASSES, spurious=spurious.events)
    assert (weaker.expected_events[:, 2] > 1.02 * mass_limits(DATA, MASSES).expected_events[:, 2]).sum() > 10


def test_function_uncertainty_is_several_times_that_of_the_fit() -> None:
    window = (2037.0, 2438.0)
    found = function_uncertainty(DATA, window=window, toys=200)
    assert found.truths == ("expdijet3", "powexp3")
    assert found.error > found.sigmas[0]
    prediction = fit_background(DATA, window=window, toys=0).prediction()
    n = COUNTS[(EDGES[:-1] >= window[0]) & (EDGES[1:] <= window[1])].sum()
    limits = [
        counting_limit(n, p.total, p.sigma).expected_events[2] for p in (prediction, prediction.widened(found.error))
    ]
    assert limits[1] > 1.3 * limits[0]


def test_signal_systematics_weaken_limits() -> None:
    bare = mass_limits(DATA, MASSES, function="dijet2").expected_events[:, 2]
    systematics = SignalSystematics(luminosity=0.016, efficiency=0.05, scale=0.02, resolution=0.1)
    wide = mass_limits(DATA, MASSES, function="dijet2", systematics=systematics).expected_events[:, 2]
    assert (wide > 1.01 * bare).all()
    assert (wide < 1.5 * bare).all()


def test_wider_peaks_have_weaker_limits() -> None:
    curve = width_limits(DATA, 4000.0, [0.03, 0.05, 0.1, 0.15], luminosity=LUMINOSITY, efficiency=0.5)
    assert curve.axis == "width"
    assert (np.diff(curve.expected_cross_section[:, 2]) > 0).all()
    assert curve.cross_section == pytest.approx(curve.events / (0.5 * LUMINOSITY))


def test_no_excess_counting_masses_and_widths() -> None:
    searches = width_searches(DATA, [0.03, 0.05, 0.1])
    found = global_significance([searches], toys=200)
    assert found.hypotheses == sum(len(search.masses) for search in searches)
    assert found.local_z > 1.5
    assert found.p > 0.05
    assert found.p > found.local_p
    assert "width" in found.search
