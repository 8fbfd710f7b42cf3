"""What the members of a fold share."""

import numpy as np
from sklearn.base import clone

from jepa_coffea.cwola.features import Whitening
from jepa_coffea.cwola.fits import Newest, fitted, reduced


def test_what_was_made_of_an_object_is_not_given_for_another_in_its_place() -> None:
    newest = Newest(2)
    for number in range(20):
        X = np.full(1000, float(number))  # often where the one before was
        assert newest.get((X,), ("sum",), X.sum) == 1000 * number
        del X


def test_the_newest_are_kept_and_told_apart_by_content() -> None:
    newest, X, made = Newest(2), np.ones(3), []

    def get(*small: object) -> object:
        return newest.get((X,), small, lambda: made.append(small))

    for rows in ([0, 1], [0, 1], [0, 2], [0, 1], [1, 2], [0, 2], [0, 1]):
        get(np.array(rows))
    assert [list(rows) for (rows,) in made] == [[0, 1], [0, 2], [1, 2], [0, 1]]


def test_reduced_features_are_those_of_a_reduction_fitted_to_these_rows_alone() -> None:
    X = np.random.default_rng(3).normal(size=(400, 9)) @ np.diag(np.arange(1.0, 10))
    whitening, odd, even = Whitening(components=3), np.arange(1, 400, 2), np.arange(0, 400, 2)
    for rows, others in ((odd, even), (even, odd), (odd, even)):
        found = fitted(whitening, X, rows)
        alone = clone(whitening).fit(X[rows])
        assert np.array_equal(reduced(found, X, others), alone.transform(X[others]))
        assert fitted(whitening, X, rows) is found
        assert fitted(Whitening(components=2), X, rows) is not found
        assert fitted(whitening, X.copy(), rows) is not found
    assert np.array_equal(reduced(None, X, odd), X[odd])
