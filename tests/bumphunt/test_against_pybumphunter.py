"""The same histograms through pyBumpHunter: the same windows look interesting; its global p differs, and why."""

import warnings

import numpy as np
import pytest
from scipy import stats

from jepa_coffea.bumphunt import WindowSearch, as_spectrum, fit_background, global_significance
from tests.bumphunt.conftest import Truth

WIDTH = 3
TOYS = 400


@pytest.fixture(scope="module")
def both(truth: Truth) -> tuple[WindowSearch, object, np.ndarray]:
    from pyBumpHunter import BumpHunter1D

    counts = truth.observed(11, signal=110)
    reference = fit_background((counts, truth.edges), "dijet2", toys=0).expected
    hunter = BumpHunter1D(
        rang=(truth.edges[0], truth.edges[-1]),
        bins=truth.edges,
        width_min=WIDTH,
        width_max=WIDTH,
        npe=TOYS,
        nworker=1,
        seed=1,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hunter.bump_scan(counts, reference, is_hist=True)
    windows = tuple((float(truth.edges[i]), float(truth.edges[i + WIDTH])) for i in range(1, 22))
    return WindowSearch("windows", as_spectrum((counts, truth.edges)), "dijet2", 13000.0, windows), hunter, reference


def test_the_same_windows_are_interesting(both: tuple[WindowSearch, object, np.ndarray]) -> None:
    search, hunter, _ = both
    z = search.local_z(search.spectrum.counts[None])[0]
    theirs = np.asarray(hunter.res_ar[0], dtype=float)[1 : 1 + len(z)]  # type: ignore[attr-defined]
    assert int(np.argmax(z)) == int(np.argmin(theirs))
    excess = theirs < 1
    assert stats.spearmanr(-z[excess], theirs[excess]).statistic > 0.9
    # Its background has no uncertainty and contains the bump: both make our Z differ, the second more.
    assert z.max() > stats.norm.isf(theirs.min())


def test_their_global_p_lacks_the_refit(both: tuple[WindowSearch, object, np.ndarray]) -> None:
    search, hunter, reference = both
    theirs = float(hunter.global_Pval)  # type: ignore[attr-defined]
    # What it does, done by hand: toys around a fixed reference, the smallest Poisson p of any window, no fit.
    counts = search.spectrum.counts
    pseudo = np.random.default_rng(2).poisson(reference, (4000, len(reference)))

    def smallest_p(rows: np.ndarray) -> np.ndarray:
        sums = [np.add.reduce(rows[..., i : i + WIDTH], axis=-1) for i in range(len(reference) - WIDTH + 1)]
        expected = [reference[i : i + WIDTH].sum() for i in range(len(reference) - WIDTH + 1)]
        return np.min([stats.poisson.sf(n - 1, b) for n, b in zip(sums, expected, strict=True)], axis=0)

    by_hand = (smallest_p(pseudo) <= smallest_p(counts)).mean()
    assert theirs == pytest.approx(by_hand, abs=4 * np.sqrt(by_hand * (1 - by_hand) / TOYS) + 2 / TOYS)
    # In the data the fit had pulled the reference towards the bump, in unfitted toys it had not: p comes out too large.
    ours = global_significance([[search]], toys=TOYS)
    assert ours.p < theirs
