from dataclasses import replace

import numpy as np
import pytest

from jepa_coffea.bumphunt import HistogramError, WindowSearch, as_spectrum, counting_significance, fit_background, scan
from jepa_coffea.bumphunt.ftest import f_test_rule
from jepa_coffea.bumphunt.scan import shape_search
from jepa_coffea.bumphunt.searches import chosen_anew
from jepa_coffea.bumphunt.toys import batch_of_toys
from tests.bumphunt.conftest import Truth


def test_window_search_is_the_masked_fit_and_the_closed_form(truth: Truth) -> None:
    windows = (truth.window, (float(truth.edges[17]), float(truth.edges[20])))
    pseudo = np.stack([truth.observed(seed, signal=50) for seed in range(4)])
    z = WindowSearch("w", as_spectrum((pseudo[0], truth.edges)), "dijet3", 13000.0, windows).local_z(pseudo)
    assert z.shape == (4, 2)
    for row, counts in enumerate(pseudo):
        for column, window in enumerate(windows):
            fit = fit_background((counts, truth.edges), window=window, toys=0)
            prediction = fit.prediction()
            alone = counting_significance(fit.spectrum.total(window), prediction.total, prediction.sigma)
            assert z[row, column] == pytest.approx(alone, abs=0.01)


def test_shape_search_on_rows_equals_one_scan_per_row(truth: Truth) -> None:
    pseudo = np.stack([truth.observed(seed, signal=50) for seed in range(3)])
    search = shape_search((pseudo[0], truth.edges))
    z = search.local_z(pseudo)
    for row, counts in enumerate(pseudo):
        assert z[row] == pytest.approx(scan((counts, truth.edges), toys=0).z, abs=2e-3)


def test_null_toys_are_standard_normal(truth: Truth) -> None:
    pseudo = np.random.default_rng(0).poisson(truth.background, (1500, 30)).astype(float)
    data = as_spectrum((truth.observed(0), truth.edges))
    z = np.concatenate(
        [
            shape_search(data, [2000, 2700, 3500]).local_z(pseudo),
            WindowSearch("w", data, "dijet3", 13000.0, (truth.window,)).local_z(pseudo),
        ],
        axis=1,
    )
    assert np.isfinite(z).all()
    assert np.abs(z.mean(axis=0)).max() < 4 / np.sqrt(1500)
    assert np.abs(z.std(axis=0) - 1).max() < 4 / np.sqrt(3000) + 0.02
    share = (z > 2).mean(axis=0)
    assert np.abs(share - 0.02275).max() < 4 * np.sqrt(0.02275 / 1500)


def test_window_at_the_end_of_the_range_is_refused(truth: Truth) -> None:
    n = truth.observed(0)
    n[20:] = 0
    with pytest.raises(HistogramError, match="no events above"):
        WindowSearch("w", as_spectrum((n, truth.edges)), "dijet2", 13000.0, ((truth.edges[17], truth.edges[20]),))


def test_toys_that_determine_nothing_are_failed_not_numbers(truth: Truth) -> None:
    """All events in one bin, or none at all: a failed fit in that row, the other rows untouched."""
    counts = truth.observed(0)
    one_bin, empty = np.zeros(30), np.zeros(30)
    one_bin[3] = 7
    data = as_spectrum((counts, truth.edges))
    for search in (shape_search(data, [2700]), WindowSearch("w", data, "dijet3", 13000.0, (truth.window,))):
        z = search.local_z(np.stack([counts, one_bin, empty]))
        assert z[0] == pytest.approx(search.local_z(counts[None])[0])
        assert np.isnan(z[1:]).all()


def test_a_search_that_chooses_its_function_in_every_spectrum(truth: Truth) -> None:
    search = WindowSearch("window", as_spectrum((truth.observed(1), truth.edges)), "dijet3", 13000, (truth.window,))
    rule = f_test_rule((search.spectrum.counts, truth.edges), ("dijet2", "dijet3"), window=truth.window, toys=200)
    chosen = chosen_anew(search, [rule])
    counts = np.random.default_rng(0).poisson(truth.background, (300, len(truth.background))).astype(float)
    function = rule.choose(counts)
    assert 0 < function.sum() < 300
    z = chosen.local_z(counts)
    for index, name in enumerate(("dijet2", "dijet3")):
        alone = replace(search, function=name).local_z(counts[function == index])
        assert np.array_equal(z[function == index], alone)
    assert chosen.null.function == rule.functions[rule.choose(search.spectrum.counts[None])[0]]


def test_constraint_and_function_error_enter_the_window_search(truth: Truth) -> None:
    data = as_spectrum((truth.observed(2, signal=100), truth.edges))
    prediction = fit_background(data, "dijet2", window=truth.window, toys=0).prediction()
    n = data.total(truth.window)
    for constraint in ("poisson", "gaussian"):
        search = WindowSearch("w", data, "dijet2", 13000.0, (truth.window,), constraint, (0.05,))
        ours = counting_significance(
            n, prediction.total, np.hypot(prediction.sigma, 0.05 * prediction.total), constraint
        )
        assert search.local_z(data.counts[None])[0, 0] == pytest.approx(float(ours), rel=1e-3)
    with pytest.raises(HistogramError, match="one function error"):
        WindowSearch("w", data, "dijet2", 13000.0, (truth.window,), "poisson", (0.1, 0.1))


def test_a_global_p_value_does_not_excuse_the_function(truth: Truth) -> None:
    """Spectra whose background in the window is off by as much as the function may be: their p is uniform."""
    error = 0.1
    data = as_spectrum((truth.observed(2), truth.edges))
    search = WindowSearch("w", data, "dijet3", 13000.0, (truth.window,), "poisson", (error,))
    inside = data.inside(truth.window)
    rng = np.random.default_rng(4)
    wrong = np.where(inside, 1 + error * rng.standard_normal(2000)[:, None], 1.0)
    found = search.local_z(rng.poisson(truth.background * np.maximum(wrong, 0)).astype(float))[:, 0]
    right = rng.poisson(truth.background, (2000, len(truth.background))).astype(float)
    toys, narrow = search.in_toys.local_z(right)[:, 0], search.local_z(right)[:, 0]
    level = np.quantile(toys, 0.9)
    assert (found > level).mean() == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / 2000) * np.sqrt(2))
    assert (found > np.quantile(narrow, 0.9)).mean() > 0.13  # as if the toys, too, had been made with a wrong function
    drawn = batch_of_toys([[search]], 5, 0, 0)
    same = replace(search, function_errors=())
    assert np.array_equal(drawn, batch_of_toys([[same]], 5, 0, 0))
    peaks = replace(shape_search(data, [2500.0, 2700.0]), spurious=np.array([30.0, 30.0]))
    assert np.array_equal(peaks.in_toys.local_z(right[:3]), replace(peaks, spurious=None).local_z(right[:3]))
