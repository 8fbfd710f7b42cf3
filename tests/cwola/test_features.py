"""Embeddings are reduced, observables are not."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from jepa_coffea.cwola.features import FeatureError, Whitening
from jepa_coffea.hunt.config import FeatureConfig


def test_passed_columns_stay_and_do_not_steer_the_components() -> None:
    rng = np.random.default_rng(0)
    embedding, observables = rng.normal(size=(300, 10)), 1000 * rng.normal(size=(300, 4))
    reduced = Whitening(3, novelty=False, passed=4).fit_transform(np.column_stack([embedding, observables]))
    expected = PCA(3, whiten=True, svd_solver="full").fit_transform(embedding)
    np.testing.assert_allclose(reduced[:, :3], expected, atol=1e-12)
    np.testing.assert_array_equal(reduced[:, 3:], observables)


def test_components_of_float32_far_from_zero_are_those_of_double_precision() -> None:
    rng = np.random.default_rng(4)
    X = (1000 + rng.normal(size=(400, 12)) * np.geomspace(10, 0.1, 12)).astype(np.float32)
    expected = PCA(3, svd_solver="full").fit(X.astype(float))
    found = Whitening(3, novelty=False).fit(X)
    np.testing.assert_allclose(found.directions_.T, expected.components_, atol=1e-6)
    np.testing.assert_allclose(found.scales_, np.diag(expected.explained_variance_**-0.5), rtol=1e-6)


def test_novelty_comes_before_what_is_passed() -> None:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(200, 8))
    reduced = Whitening(2, novelty=True, passed=2).fit_transform(X)
    assert reduced.shape == (200, 6)
    np.testing.assert_allclose(reduced[:, 2], (reduced[:, :2] ** 2).sum(axis=1))
    np.testing.assert_array_equal(reduced[:, 4:], X[:, 6:])


def test_more_components_than_the_embedding_has() -> None:
    X = np.random.default_rng(4).normal(size=(200, 10))
    reduced = Whitening(12, passed=2).fit(X).transform(X)
    assert reduced.shape == (200, 8 + 2 + 2)
    np.testing.assert_array_equal(reduced, Whitening(8, passed=2).fit(X).transform(X))
    assert np.ptp(reduced[:, 9]) < 0.1  # nothing is outside, and rounding is nothing to train on
    X[:, 3] = 1
    reduced = Whitening(12, passed=2).fit(X).transform(X)
    assert reduced.shape == (200, 7 + 2 + 2)
    assert np.isfinite(reduced).all()
    with pytest.raises(FeatureError, match="beside the 10 that"):
        Whitening(12, passed=10).fit(X)


def test_a_hunt_in_observables_reduces_nothing() -> None:
    both = FeatureConfig(use="both", components=5, observables=["tau21", "tau32"]).reduction()
    assert both is not None
    assert (both.components, both.passed) == (5, 4)
    everything = ["columns", "observables", "scores", "embedding"]
    many = FeatureConfig(use=everything, scores=["top"], columns=["met"], observables=["tau21"])
    assert many.kinds == ("embedding", "scores", "observables", "columns")
    assert many.reduction().passed == 5
    assert many.model_copy(update={"jets": ["fatjet"]}).reduction().passed == 3
    assert FeatureConfig(use="observables").reduction() is None
    assert FeatureConfig(components=None).reduction() is None


def test_directions_by_observables_find_what_hardly_varies() -> None:
    rng = np.random.default_rng(2)
    hidden = rng.normal(size=(2000, 2))
    embedding = rng.normal(size=(2000, 12)) * np.geomspace(30, 1, 12)
    embedding[:, -2:] = 0.1 * hidden
    rotated = embedding @ np.linalg.qr(rng.normal(size=(12, 12)))[0]
    observables = hidden + 0.3 * rng.normal(size=(2000, 2))
    X = np.column_stack([rotated, observables])
    found = Whitening(4, passed=2, by="observables").fit(X[:1000])
    reduced = found.transform(X[1000:])
    assert reduced.shape == (1000, 4 + 2 + 2)
    np.testing.assert_allclose(np.cov(found.transform(X[:1000])[:, :4], rowvar=False), np.eye(4), atol=1e-6)

    def explained(kept: np.ndarray) -> float:
        design = np.column_stack([np.ones(1000), kept])
        left = hidden[1000:] - design @ np.linalg.lstsq(design, hidden[1000:], rcond=None)[0]
        return 1 - float(left.var() / hidden[1000:].var())

    principal = Whitening(4, passed=2).fit(X[:1000]).transform(X[1000:])
    assert explained(principal[:, :4]) < 0.05
    assert explained(reduced[:, :4]) > 0.9
    with pytest.raises(FeatureError, match="need observables beside"):
        Whitening(2, by="observables").fit(rotated)
    with pytest.raises(ValueError, match="need embedding and other features"):
        FeatureConfig(use="embedding", directions="observables")
    assert FeatureConfig(use="both", directions="observables").reduction().by == "observables"
