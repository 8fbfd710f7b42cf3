"""Limits against mass and width; those of collision data are in test_cms_dijets."""

from pathlib import Path

import numpy as np
import pytest

from jepa_coffea.bumphunt import FitError, Gaussian, HistogramError, SignalSystematics, mass_limits, scan, width_limits
from jepa_coffea.bumphunt.exports import limit_table
from jepa_coffea.bumphunt.limits import Limit, limit_curve
from jepa_coffea.bumphunt.limits.limit import make_limit
from jepa_coffea.bumphunt.limits.problem import Problem
from jepa_coffea.bumphunt.newton import Array
from jepa_coffea.hunt.state import HuntResult
from jepa_coffea.plots import Header, plot_limits
from jepa_coffea.report.limit_section import limit_section
from tests.bumphunt.conftest import Truth

MASSES = [2200.0, 2700.0, 3300.0]


def test_expected_limits_are_two_standard_deviations_of_the_yield(truth: Truth) -> None:
    """Many events: the median expected limit is 1.96 times the error of a fitted signal."""
    data = (50 * truth.background, truth.edges)
    curve = mass_limits(data, MASSES)
    errors = scan(data, MASSES, toys=0).errors
    assert curve.expected_events[:, 2] == pytest.approx(1.96 * errors, rel=0.03)
    # Without fluctuations the observed limit is the expected one.
    assert curve.events == pytest.approx(curve.expected_events[:, 2], rel=0.01)


def test_a_limit_covers_an_injected_signal(truth: Truth) -> None:
    """At least 95 % of the limits lie above the signal that is there."""
    above = []
    for seed in range(40):
        n = np.random.default_rng(seed).poisson(truth.background + 120 * truth.bump(2700, 135)).astype(float)
        above.append(mass_limits((n, truth.edges), [2700.0]).events[0] > 120)
    assert np.mean(above) > 0.9


def test_a_spurious_signal_widens_the_limit_as_an_error_in_quadrature(truth: Truth) -> None:
    data = (50 * truth.background, truth.edges)
    errors = scan(data, MASSES, toys=0).errors
    spurious = mass_limits(data, MASSES, spurious=errors)
    assert spurious.expected_events[:, 2] == pytest.approx(1.96 * np.sqrt(2) * errors, rel=0.04)


def test_systematics_of_the_yield_weaken_the_limit(truth: Truth) -> None:
    data = (truth.observed(1), truth.edges)
    bare = mass_limits(data, MASSES)
    for systematics in (
        SignalSystematics(luminosity=0.2),
        SignalSystematics(scale=0.03),
        SignalSystematics(resolution=0.3),
    ):
        weaker = mass_limits(data, MASSES, systematics=systematics)
        assert (weaker.expected_events[:, 2] > bare.expected_events[:, 2]).all()
    with pytest.raises(HistogramError, match="relative, between 0 and 1"):
        SignalSystematics(luminosity=1.6)


def test_all_nuisances_together_have_a_limit_at_every_mass() -> None:
    """Where few events are expected several of them pull by their errors, and the fits take hundreds of steps."""
    edges = np.geomspace(2000, 5000, 26)
    counts = np.histogram(2000 + np.random.default_rng(1).exponential(400, 2500), edges)[0]
    systematics = SignalSystematics(luminosity=0.016, efficiency=0.05, scale=0.02, resolution=0.1)
    curve = mass_limits((counts, edges), signal=Gaussian(0.03), function="dijet2", systematics=systematics)
    assert curve.known.all()
    assert set(curve.methods) == {"asymptotic"}
    # No event lies above 4.4 TeV: nearly three signal events are excluded at least, and the expectation falls to that.
    assert (curve.expected_events[:, 2] > 2.9).all()


def test_a_mass_without_a_limit_leaves_the_others(truth: Truth, monkeypatch: pytest.MonkeyPatch) -> None:
    data, log_cls = (truth.observed(1), truth.edges), Problem.log_cls
    whole = mass_limits(data, MASSES)

    def one_fails(problem: Problem, asimov: Problem, strengths: Array) -> Array:
        curves = log_cls(problem, asimov, strengths)
        curves[1] = np.nan
        return curves

    monkeypatch.setattr(Problem, "log_cls", one_fails)
    curve = mass_limits(data, MASSES)
    assert curve.known.tolist() == [True, False, True]
    assert curve.events[[0, 2]] == pytest.approx(whole.events[[0, 2]], rel=0.01)
    assert np.isnan(curve.events[1])
    assert "did not converge for m = 2700" in curve.methods[1]
    table = limit_table(curve)
    assert table.independent[0].values.tolist() == [2200, 3300]
    assert "No limit was found at a mass of 2700 GeV." in table.description
    low, high = plot_limits(curve).axes[0].get_ylim()
    assert 0 < low < high
    found = HuntResult(Path(), (), mass_limits={"width 0.05": curve})
    assert found.without_limits == ["1 of 3 limits against mass, width 0.05, were not found."]
    section = limit_section(found, Header())
    assert section.tables[0].rows[0][0] == "width 0.05, mass 2700"
    assert "At 2200 to 3300 GeV, 2 of 3 points: asymptotic." in section.figures[0].caption
    monkeypatch.setattr(Problem, "log_cls", lambda problem, asimov, x: np.nan * log_cls(problem, asimov, x))
    with pytest.raises(FitError, match="did not converge"):
        mass_limits(data, MASSES)


def test_fits_that_fail_further_out_do_not_end_the_search(truth: Truth, monkeypatch: pytest.MonkeyPatch) -> None:
    """CLs is known up to just above the limits: the curve is followed to there in smaller steps."""
    data, log_cls = (truth.observed(1), truth.edges), Problem.log_cls
    whole = mass_limits(data, [2700.0], spurious=[200.0])
    most = 1.1 * max(whole.events[0], whole.expected_events.max())

    def to_most(problem: Problem, asimov: Problem, strengths: Array) -> Array:
        return np.where(strengths[..., None] < most, log_cls(problem, asimov, strengths), np.nan)

    monkeypatch.setattr(Problem, "log_cls", to_most)
    curve = mass_limits(data, [2700.0], spurious=[200.0])
    assert curve.events == pytest.approx(whole.events, rel=0.02)
    assert curve.expected_events == pytest.approx(whole.expected_events, rel=0.02)


def test_toys_where_few_events_are_expected(truth: Truth) -> None:
    """With next to no background and no event, three signal events are excluded; the asymptotic limit is too tight."""
    n = np.where(truth.edges[:-1] > 4200, 0.0, truth.observed(2, scale=0.05))
    data = (n, truth.edges)
    asymptotic = mass_limits(data, [5000.0], function="dijet2", signal=Gaussian(0.03))
    toys = mass_limits(data, [5000.0], function="dijet2", signal=Gaussian(0.03), toys=300)
    assert toys.methods == ("300 toys per strength",)
    inside = Gaussian(0.03).template(truth.edges, 5000.0).sum()
    assert toys.events[0] == pytest.approx(3.0 / inside, rel=0.15)
    assert asymptotic.events[0] < 0.8 * toys.events[0]
    assert (np.diff(toys.expected_events[0]) >= 0).all()
    # Too few toys for a limit: the asymptotic one, and why.
    three = mass_limits(data, [2700.0, 5000.0], function="dijet2", signal=Gaussian(0.03), toys=3)
    assert three.events[1] == asymptotic.events[0]
    assert three.methods[0] == "asymptotic"
    assert three.methods[1].startswith("asymptotic, no toys: too few of 3 toys are beyond the data of m = 5000")
    many = mass_limits((50 * truth.background, truth.edges), MASSES, toys=300)
    assert many.methods == ("asymptotic",) * 3


def test_spurious_signals_larger_than_the_background_leave_toys_that_can_be_fitted(truth: Truth) -> None:
    """A function may fake more than there is: toys in which it fakes less than nothing had no fit, and counted as 0."""
    n = np.where(truth.edges[:-1] > 4200, 0.0, truth.observed(2, scale=0.05))
    data, how = (n, truth.edges), {"function": "dijet2", "signal": Gaussian(0.03), "toys": 300}
    without, faked = (mass_limits(data, [5000.0], spurious=[events], **how) for events in (0.0, 1.0))
    assert faked.methods == without.methods == ("300 toys per strength",)
    # No event is seen, and none need be expected: the limit stays at 3 events.
    assert faked.events[0] == pytest.approx(without.events[0], rel=0.2)


def test_width_and_mass_agree_where_they_meet(truth: Truth) -> None:
    data = (truth.observed(1), truth.edges)
    by_width = width_limits(data, 2700.0, [0.1, 0.05])
    assert by_width.points.tolist() == [0.05, 0.1]
    assert by_width.events[0] == pytest.approx(mass_limits(data, [2700.0]).events[0], rel=0.01)


def test_curves_are_sorted_and_whole() -> None:
    def limit(events: float, level: float = 0.95) -> Limit:
        return make_limit(level, events, np.full(5, events), 1.0, 10.0, 0.5, "asymptotic")

    curve = limit_curve([3000, 2000], [limit(3.0), limit(2.0)])
    assert curve.points.tolist() == [2000, 3000]
    assert curve.events.tolist() == [2, 3]
    assert curve.cross_section.tolist() == pytest.approx([0.4, 0.6])
    with pytest.raises(HistogramError, match="one limit for each point"):
        limit_curve([3000], [limit(3.0), limit(2.0)])
    with pytest.raises(HistogramError, match="one confidence level"):
        limit_curve([3000, 2000], [limit(3.0), limit(2.0, 0.9)])


def test_refuses(truth: Truth) -> None:
    data = (truth.observed(1), truth.edges)
    with pytest.raises(HistogramError, match="confidence level"):
        mass_limits(data, MASSES, level=95)
    with pytest.raises(HistogramError, match="luminosity > 0"):
        mass_limits(data, MASSES, luminosity=-1)
    with pytest.raises(HistogramError, match="one non-negative number for each"):
        mass_limits(data, MASSES, spurious=[1.0])
