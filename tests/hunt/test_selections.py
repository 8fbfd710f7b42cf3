import numpy as np
import pytest
from scipy import special

from jepa_coffea.bumphunt import counting_significance, fit_background
from jepa_coffea.bumphunt.spectrum import as_spectrum
from jepa_coffea.cwola import Folds, Windows
from jepa_coffea.cwola.efficiency import window_scores
from jepa_coffea.cwola.sample import make_sample
from jepa_coffea.hunt.config import StatisticsConfig
from jepa_coffea.hunt.nominal import degree_of
from jepa_coffea.hunt.pipeline import window_search
from jepa_coffea.hunt.selections import by_function, by_sideband_efficiency, count_inclusive, select
from tests.cwola.toy import dijets

WINDOWS = Windows.single(2600, 3000, sidebands=(2200, 3600), fit_range=(2000, 5000), bins=25)
WINDOW = WINDOWS.windows[0]
STATISTICS = StatisticsConfig(sqrt_s=13000, function="dijet2", goodness_toys=0)


def test_the_count_is_judged_with_the_fits_full_covariance():
    counts = WINDOWS.histogram(dijets(5000)[1])
    result = by_function(counts, WINDOWS, WINDOW, STATISTICS)
    direct = fit_background((counts, WINDOWS.edges), "dijet2", window=(2600, 3000), toys=0)
    covariance = direct.prediction().covariance
    assert result.sigma_b == pytest.approx(np.sqrt(covariance.sum()))
    assert result.sigma_b > 1.5 * np.sqrt(np.trace(covariance))  # bins are correlated
    n = int(counts[WINDOWS.bins_of(WINDOW)].sum())
    assert result.z == pytest.approx(counting_significance(n, result.b, result.sigma_b))


def test_the_choice_of_the_function_is_part_of_the_error_and_of_the_significance():
    counts = WINDOWS.histogram(dijets(5000)[1])
    without = by_function(counts, WINDOWS, WINDOW, STATISTICS)
    result = by_function(counts, WINDOWS, WINDOW, STATISTICS, function_error=0.1)
    assert result.function_error == pytest.approx(0.1 * without.b)
    assert result.sigma_b == pytest.approx(np.hypot(without.sigma_b, 0.1 * without.b))
    n = int(counts[WINDOWS.bins_of(WINDOW)].sum())
    assert result.z == pytest.approx(counting_significance(n, result.b, result.sigma_b))


def test_a_spectrum_that_cannot_be_fitted_has_a_problem_and_no_number():
    counts = WINDOWS.histogram(dijets(5000)[1])
    counts[np.asarray(WINDOWS.edges)[:-1] >= 3000] = 0
    result = by_function(counts, WINDOWS, WINDOW, STATISTICS)
    assert result.fit is None
    assert "no events above the window" in result.problem
    assert np.isnan([result.b, result.sigma_b, result.z, result.p]).all()


def selected_at(efficiency_of, seed, events=20_000, efficiency=0.1, statistics=STATISTICS):
    """A selection of events that pass at random with a probability that depends on mass; about 10 % pass."""
    X, mass, ids, _ = dijets(events, seed=seed)
    sample = make_sample(X, mass, ids)
    passed = np.random.default_rng(seed).random(len(mass)) < efficiency_of(mass)
    score = np.where(WINDOWS.inside(mass), passed + np.random.default_rng(seed).random(len(mass)), np.nan)
    scores = window_scores(score, WINDOW, sample, Folds(), seed=1)
    return select(scores, mass, WINDOWS, efficiency, statistics)


def test_a_function_has_no_estimate_where_fewer_events_are_expected_than_it_needs():
    """Whatever is counted: were those given that can be fitted, they would be a choice among searches."""
    five = StatisticsConfig(sqrt_s=13000, function="dijet5", goodness_toys=0)
    found = selected_at(lambda mass: 0.1 + 0 * mass, 0, events=3000, statistics=five)
    assert "events are expected, and dijet5 needs 250 to be fitted reliably" in found.function.problem
    assert np.isnan(found.function.z)
    assert np.isfinite(found.sideband_efficiency.z)
    assert np.isfinite(selected_at(lambda mass: 0.1 + 0 * mass, 0, events=3000).function.z)  # of two parameters


def test_two_estimates_of_a_smooth_background_agree_and_both_are_right():
    pulls = []
    for seed in range(8):
        found = selected_at(lambda mass: 0.1 + (mass - 2000) / 60_000, seed)
        other = found.sideband_efficiency
        assert other.z == pytest.approx(counting_significance(found.n, other.b, other.sigma_b))
        assert found.pull == pytest.approx(
            (other.b - found.function.b) / np.hypot(other.sigma_b, found.function.sigma_b)
        )
        pulls.append([found.pull, other.z, found.function.z])
    assert (np.abs(pulls) < 3).all()


@pytest.mark.parametrize("bend", [0.0, -0.1])
def test_a_curved_efficiency_biases_the_line_and_not_the_parabola(bend):
    """Counts drawn without signal; the degree that is chosen has no bias, and is the precise one where it may be."""
    rng, edges = np.random.default_rng(3), np.asarray(WINDOWS.edges)
    centres = (edges[1:] + edges[:-1]) / 2
    total = 14_000 * np.diff(np.exp(-edges / 500)) / (np.exp(-edges[-1] / 500) - np.exp(-edges[0] / 500))
    passing = special.expit(-2.2 + bend * ((centres - 2800) / 600) ** 2)
    z, errors = [], []
    for _ in range(300):
        before = rng.poisson(total).astype(float)
        after = rng.binomial(before.astype(int), passing).astype(float)
        found = [by_sideband_efficiency(after, before, WINDOWS, WINDOW, STATISTICS, degree) for degree in (1, 2)]
        z.append([one.z for one in found])
        errors.append([one.sigma_b for one in found])
    line, parabola = np.array(z).T
    degree = degree_of(line[:25], parabola[:25])
    assert degree == (2 if bend else 1)
    chosen = parabola if bend else line
    assert chosen.mean() == pytest.approx(0, abs=0.2)
    assert chosen.std() == pytest.approx(1, abs=0.13)
    assert (abs(line.mean()) > 1) == bool(bend)
    assert np.mean(errors, axis=0)[1] > 1.3 * np.mean(errors, axis=0)[0]


def test_a_parabola_does_not_hide_what_is_in_the_window_alone():
    centres = (np.asarray(WINDOWS.edges)[1:] + np.asarray(WINDOWS.edges)[:-1]) / 2
    before = np.round(14_000 * np.exp(-centres / 500) / np.exp(-centres / 500).sum())
    inside = WINDOWS.bins_of(WINDOW)
    after = np.round(0.1 * before)
    after[inside] = np.round(0.15 * before[inside])
    by = [by_sideband_efficiency(after, before, WINDOWS, WINDOW, STATISTICS, degree) for degree in (1, 2)]
    assert by[0].z > by[1].z > 5
    failing = (before - after)[inside].sum()
    assert [one.b for one in by] == pytest.approx([failing / 9] * 2, rel=0.02)


def test_a_transfer_factor_that_is_not_smooth_in_mass_is_seen_in_its_own_fit():
    found = selected_at(lambda mass: 0.08 + 0.1 * ((mass > 3000) & (mass < 3400)), 0)
    assert found.sideband_efficiency.fit_p < 1e-6


def test_a_transfer_factor_without_sidebands_says_so():
    mass = dijets(5000)[1]
    counts = WINDOWS.histogram(mass[mass < 3000])
    other = by_sideband_efficiency(counts, counts, WINDOWS, WINDOW, STATISTICS)
    assert "no events above the window" in other.problem
    assert np.isnan([other.b, other.z]).all()


def test_the_floor_holds_without_a_selection_too():
    """The fit of the few events may work: whether it does is no fair choice among searches."""
    counts = np.zeros(len(WINDOWS.edges) - 1)
    counts[[0, 1, 2, 5, -1, -2, -3, -8]] = 1, 2, 1, 2, 2, 1, 1, 1
    (one,) = count_inclusive(counts, WINDOWS, STATISTICS)
    assert "and dijet2 needs 12" in one.function.problem
    assert np.isnan(one.function.z)


def test_toys_judge_windows_as_the_data_are_judged():
    counts = WINDOWS.histogram(dijets(5000, signal=60)[1])
    statistics = StatisticsConfig(sqrt_s=13000, function="dijet2", goodness_toys=0, constraint="gaussian")
    errors = {WINDOW.name: 0.05}
    (one,) = count_inclusive(counts, WINDOWS, statistics, function_errors=errors)
    search = window_search(as_spectrum((counts, np.asarray(WINDOWS.edges))), WINDOWS, statistics, errors)
    assert search.local_z(counts[None])[0] == pytest.approx([one.function.z], abs=1e-3)
    (other,) = count_inclusive(counts, WINDOWS, STATISTICS, function_errors=errors)
    assert abs(other.function.z - one.function.z) > 0.01
