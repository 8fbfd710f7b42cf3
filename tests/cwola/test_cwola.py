from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from distributed import Client
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from jepa_coffea.cwola import CWoLa, Folds, Windows
from jepa_coffea.cwola.classifiers import ClassifierError, gradient_boosting, logistic
from jepa_coffea.cwola.efficiency import SelectionError, ties_of
from jepa_coffea.cwola.ensemble import train_ensembles
from jepa_coffea.cwola.features import FeatureError, Whitening
from jepa_coffea.cwola.fits import Fit, fit_member, scored_rows, training_rows
from jepa_coffea.cwola.folds import FoldError, as_hashes
from jepa_coffea.cwola.merits import auc
from jepa_coffea.cwola.model_choice import choose_estimators, choose_members
from jepa_coffea.cwola.recipe import Recipe
from jepa_coffea.cwola.sample import make_sample
from jepa_coffea.cwola.trainer import train_window
from jepa_coffea.cwola.weights import WeightError, balanced
from jepa_coffea.cwola.windows import OUTSIDE, WINDOW
from jepa_coffea.hunt.config import HuntConfig, InputConfig
from tests.cwola.toy import dijets

WINDOWS = Windows.single(2600, 3000, sidebands=(2200, 3600), fit_range=(2000, 5000))


ONE = {"members": 1, "attribute_fraction": 1}
"""One classifier that sees all features."""


def fast(**options):
    return gradient_boosting(max_iter=10, max_leaf_nodes=8, **options)


class Balanced(ClassifierMixin, BaseEstimator):
    """scikit-learn's view of one fit: labels are regions, the weights are made inside."""

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y):
        region = y - 1  # cross_val_predict numbers the classes from 0
        self.classes_ = np.arange(3)
        self.estimator.fit(X, region == WINDOW, sample_weight=balanced(region, np.ones(len(region))))
        return self

    def predict_proba(self, X):
        background, window = self.estimator.predict_proba(X).T
        return np.column_stack([background / 2, window, background / 2])

    def predict(self, X):
        return self.predict_proba(X).argmax(axis=1)


@pytest.mark.parametrize("estimator", [fast(), LogisticRegression()], ids=["trees", "logistic"])
def test_scores_are_those_of_scikit_learns_cross_validation_on_the_same_folds(estimator):
    X, mass, ids, _ = dijets(4000, signal=100)
    folds = Folds(outer=4)
    ours = CWoLa(WINDOWS, estimator, folds, **ONE).fit_predict(X, mass, ids)
    region = WINDOWS.windows[0].region(mass)
    used = region != OUTSIDE
    split = PredefinedSplit(folds.outer_of(ids)[used])
    theirs = cross_val_predict(Balanced(estimator), X[used], region[used], cv=split, method="predict_proba")[:, 1]
    assert ours[used] == pytest.approx(theirs, abs=1e-12)


def test_a_bump_with_other_features_is_found_and_nothing_is_not():
    for signal, found in ((300, True), (0, False)):
        X, mass, ids, truth = dijets(8000, signal=signal)
        result = CWoLa(WINDOWS, fast(), **ONE).fit(X, mass, ids).scores_[0]
        value, error = auc(result.score, result.region == WINDOW, result.sideband)
        assert (value - 0.5 > 5 * error) == found
        if found:
            assert result.selected(0.05)[truth & (result.region == WINDOW)].mean() > 0.5


def test_thresholds_are_held_out_sideband_quantiles_of_each_fold():
    X, mass, ids, _ = dijets(6000)
    result = CWoLa(WINDOWS, logistic(), **ONE).fit(X, mass, ids).scores_[0]
    passed = result.selected(0.1)
    for fold, threshold in result.thresholds(0.1, ties_of(as_hashes(ids), 1)).items():
        mine = result.fold == fold
        side = mine & result.sideband
        assert (passed & side).sum() == np.floor(0.1 * side.sum())
        assert np.array_equal(passed & side, side & (result.score >= threshold.score))


@pytest.mark.parametrize("inner", [None, 2])
def test_no_event_trains_what_scores_it(inner):
    X, mass, ids, _ = dijets(2000)
    ids = np.random.default_rng(0).integers(0, 400, 2000)  # each event about five times, with other masses
    sample = make_sample(X, mass, ids)
    for order in ("cross", "forward"):
        recipe = Recipe(WINDOWS, {"": logistic()}, Folds(order=order))
        for fold in recipe.folds.tested():
            fit = Fit(0, fold, inner, "", 0)
            scored, trained = scored_rows(fit, sample, recipe), training_rows(fit, sample, recipe)
            assert len(scored)
            assert len(trained)
            assert not set(ids[scored]) & set(ids[trained])


def test_inner_folds_never_see_the_outer_test_events():
    X, mass, ids, _ = dijets(2000)
    sample, recipe = make_sample(X, mass, ids), Recipe(WINDOWS, {"": logistic()})
    for fold in range(5):
        tested = set(scored_rows(Fit(0, fold, None, "", 0), sample, recipe))
        for inner in range(4):
            fit = Fit(0, fold, inner, "", 0)
            assert not tested & set(scored_rows(fit, sample, recipe))
            assert not tested & set(training_rows(fit, sample, recipe))


def test_the_choice_of_classifier_is_the_one_that_sees_the_signal():
    X, mass, ids, _ = dijets(8000, signal=500)
    blind = logistic(C=1e-6)
    X = np.column_stack([X[:, :2] ** 2, X[:, 2:]])
    # Signal at |x| ~ 2 in two squared features is what trees see at once; C = 1e-6 sees almost nothing of it.
    result = CWoLa(WINDOWS, {"blind": blind, "trees": fast()}, Folds(outer=3, inner=2), **ONE)
    result = result.fit(X, mass, ids).scores_[0]
    assert set(result.chosen) == {"trees"}
    assert all(merit["trees"] > merit["blind"] for merit in result.argos)


def test_members_are_averaged_and_see_different_features():
    X, mass, ids, _ = dijets(3000, features=6)
    one = CWoLa(WINDOWS, fast(), members=1, attribute_fraction=0.5, seed=3).fit_predict(X, mass, ids)
    four = CWoLa(WINDOWS, fast(), members=4, attribute_fraction=0.5, seed=3).fit_predict(X, mass, ids)
    assert not np.array_equal(one, four)
    scored = np.isfinite(four)
    assert four[scored].std() < one[scored].std()


def test_reduction_is_fitted_on_training_sidebands_only():
    seen = []

    class Spy(Whitening):
        def fit(self, X, y=None):
            seen.append(X.copy())
            return super().fit(X)

    X, mass, ids, _ = dijets(2000)
    folds = Folds(outer=3)
    spy = Spy(components=2, novelty=True)
    CWoLa(WINDOWS, logistic(), folds, reduction=spy, **ONE | {"members": 3}).fit_predict(X, mass, ids)
    assert len(seen) == 3  # all members of a fold share one
    region, outer = WINDOWS.windows[0].region(mass), folds.outer_of(ids)
    for fold, rows in enumerate(seen):
        expected = X[(outer != fold) & (region != WINDOW) & (region != OUTSIDE)]
        assert np.array_equal(np.sort(rows, axis=0), np.sort(expected, axis=0))


def test_several_windows_give_several_columns_and_only_the_fit_range_is_scored():
    windows = Windows.overlapping([2200, 2500, 2900, 3400, 4200], fit_range=(2100, 4500))
    X, mass, ids, _ = dijets(3000)
    scores = CWoLa(windows, logistic(), **ONE).fit_predict(X, mass, ids)
    assert scores.shape == (3000, 2)
    assert np.array_equal(np.isfinite(scores[:, 0]), (mass >= 2100) & (mass < 4500))


def test_one_seed_gives_one_answer_and_another_seed_another():
    X, mass, ids, _ = dijets(2500)

    def run(seed):
        return CWoLa(WINDOWS, fast(max_features=0.5), members=2, attribute_fraction=1, seed=seed).fit_predict(
            X, mass, ids
        )

    assert np.array_equal(run(1), run(1), equal_nan=True)
    assert not np.array_equal(run(1), run(2), equal_nan=True)
    order = np.random.default_rng(0).permutation(2500)
    shuffled = CWoLa(WINDOWS, LogisticRegression(tol=1e-10), **ONE).fit_predict(X[order], mass[order], ids[order])
    assert shuffled == pytest.approx(
        CWoLa(WINDOWS, LogisticRegression(tol=1e-10), **ONE).fit_predict(X, mass, ids)[order], abs=1e-6, nan_ok=True
    )


def test_bad_input_is_named():
    X, mass, ids, _ = dijets(1500)
    cwola = CWoLa(WINDOWS, logistic(), **ONE)
    with pytest.raises(FoldError, match=r"training events in the high sideband"):
        cwola.fit_predict(X[mass < 3000], mass[mass < 3000], ids[mass < 3000])
    outside = WINDOWS.windows[0].region(mass) != WINDOW
    with pytest.raises(FoldError, match=r"training events in the window"):
        cwola.fit_predict(X[outside], mass[outside], ids[outside])
    with pytest.raises(WeightError, match="negative"):
        cwola.fit_predict(X, mass, ids, weights=np.where(mass > 3000, -1.0, 1.0))
    with pytest.raises(FeatureError, match="event 7, feature number 1"):
        cwola.fit_predict(np.where(np.arange(6000).reshape(1500, 4) == 29, np.nan, X), mass, ids)
    with pytest.raises(FoldError, match="one entry per event"):
        cwola.fit_predict(X, mass[:-1], ids)
    with pytest.raises(ClassifierError, match="learned nothing"):
        cwola.fit_predict(np.ones_like(X), mass, ids)
    with pytest.raises(ClassifierError, match="takes no sample_weight"):
        CWoLa(WINDOWS, KNeighborsClassifier())
    with pytest.raises(SelectionError, match="fewer than the 1000 that define"):
        cwola.fit(X, mass, ids).scores_[0].selected(0.001)


def test_scheduling_does_not_change_a_bit():
    X, mass, ids, _ = dijets(2000, features=6)
    cwola = CWoLa(WINDOWS, fast(max_features=0.5), Folds(outer=3), members=3, attribute_fraction=0.5, seed=5)
    here = cwola.fit_predict(X, mass, ids)
    with Client(processes=False, n_workers=1, threads_per_worker=3, dashboard_address=":0") as client:
        there = replace(cwola, client=client).fit_predict(X, mass, ids)
        with pytest.raises(ClassifierError, match="learned nothing"):
            replace(cwola, client=client).fit_predict(np.ones_like(X), mass, ids)
    assert np.array_equal(here, there, equal_nan=True)


def test_the_best_initialisation_of_each_inner_fold_is_kept_and_scores_events_it_never_saw():
    X, mass, ids, _ = dijets(4000, signal=150)
    sample = make_sample(X, mass, ids)
    # Members that see one of four features each; two of them tell the signal.
    candidates = {"linear": LogisticRegression()}
    recipe = Recipe(WINDOWS, candidates, Folds(3, 2), members=6, attribute_fraction=0.25, best_at=0.1)
    chosen, _ = choose_estimators(0, sample, recipe)
    kept = choose_members(0, sample, recipe, chosen)
    assert [(fit.outer, fit.inner) for fit in kept] == [(outer, inner) for outer in range(3) for inner in range(2)]
    trained = [fit_member(fit, sample, recipe) for fit in kept]
    assert {int(one.columns[0]) for one in trained} <= {0, 1}
    for fit in kept:
        training = set(training_rows(fit, sample, recipe))
        assert not training & set(scored_rows(fit, sample, recipe))
        assert not training & set(scored_rows(replace(fit, inner=None), sample, recipe))
    scores = train_window(0, sample, recipe).scores
    rows = scored_rows(replace(kept[0], inner=None), sample, recipe)
    assert scores.score[rows] == pytest.approx((trained[0].score(X[rows]) + trained[1].score(X[rows])) / 2)
    (ensemble,) = train_ensembles(recipe, sample, [0.1])
    assert np.array_equal(ensemble.score(X, sample.hashes)[scores.scored], scores.score[scores.scored])


def test_fit_returns_the_object_itself():
    X, mass, ids, _ = dijets(1500)
    cwola = CWoLa(WINDOWS, logistic(), **ONE)
    assert cwola.fit(X, mass, ids) is cwola
    assert np.array_equal(cwola.scores_[0].score, cwola.fit_predict(X, mass, ids), equal_nan=True)


def test_the_defaults_are_those_of_hunt_documents():
    document = HuntConfig(input=InputConfig(events=["x"]), output=Path("x"))
    ours, theirs = CWoLa(Windows.overlapping(), gradient_boosting()).recipe, document.recipe()
    for name in ("folds", "members", "attribute_fraction", "seed", "best_at"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert theirs.reduction.get_params() == Whitening().get_params()


def test_few_features_are_all_seen_and_of_many_half():
    recipe = Recipe(WINDOWS, {"": fast()})
    assert [round(recipe.share(n) * n) for n in (1, 4, 10, 14, 20, 64)] == [1, 4, 10, 10, 10, 32]
    assert Recipe(WINDOWS, {"": fast()}, attribute_fraction=0.5).share(4) == 0.5
