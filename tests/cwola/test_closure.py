import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from jepa_coffea.cwola import Recipe, Windows
from jepa_coffea.cwola.classifiers import gradient_boosting, logistic
from jepa_coffea.cwola.closure import closure_gates
from jepa_coffea.cwola.gates import interpolated_count
from jepa_coffea.cwola.sample import make_sample
from jepa_coffea.cwola.trainer import train_window
from jepa_coffea.cwola.windows import HIGH, LOW, WINDOW
from tests.cwola.toy import dijets

WINDOWS = Windows.single(2600, 3000, sidebands=(2200, 3600), fit_range=(2000, 5000), bins=25)


def gates(X, mass, ids, estimator, efficiency=0.1):
    recipe = Recipe(WINDOWS, {"": estimator}, members=1, attribute_fraction=1)
    sample = make_sample(X, mass, ids)
    result = closure_gates(sample, recipe, train_window(0, sample, recipe).scores, [efficiency])
    assert not result.left_out
    return {gate.name.split(" at ")[0].split(" in ")[0]: gate for gate in result.gates}


def test_background_passes_every_gate():
    X, mass, ids, _ = dijets(8000)
    result = gates(X, mass, ids, logistic())
    assert len(result) == 5
    assert all(gate.passed for gate in result.values()), result


def test_a_signal_passes_the_gates_too():
    X, mass, ids, _ = dijets(8000, signal=200)
    assert all(gate.passed for gate in gates(X, mass, ids, logistic()).values())


def test_a_feature_that_is_the_mass_fails_the_gates_that_are_for_it():
    X, mass, ids, _ = dijets(12_000)
    X[:, 0] = mass + 30 * X[:, 0]
    result = gates(X, mass, ids, gradient_boosting(max_iter=20))
    for name in ("correlation of score and mass", "efficiency against mass", "inverted selection"):
        assert not result[name].passed, name
    # A linear classifier cannot make an island of the window: what it does is to tell low from high.
    X[:, 0] = (mass > 3300) + 0.3 * X[:, 1]
    assert not gates(X, mass, ids, logistic())["AUC of high against low sideband"].passed


def test_a_fake_window_without_events_fails_and_says_why():
    X, mass, ids, _ = dijets(150)
    result = gates(X, mass, ids, logistic(), 0.2)["fake window"]
    assert not result.passed
    assert np.isnan(result.value)
    assert "could not be made" in result.explanation


def test_interpolation_cancels_a_linear_trend():
    rng = np.random.default_rng(0)
    mass = rng.uniform(2200, 3600, 400_000)
    region = WINDOWS.windows[0].region(mass)
    passed = rng.random(400_000) < 0.1 * (1 + (mass - 2900) / 1400)
    n, b, sigma = interpolated_count(passed, region, mass)
    assert (n - b) / np.hypot(sigma, np.sqrt(b)) == pytest.approx(0, abs=3)
    flat = (region == WINDOW).sum() * passed[(region == LOW) | (region == HIGH)].mean()
    assert abs(n - flat) > 3 * np.hypot(sigma, np.sqrt(b))


class Learned(ClassifierMixin, BaseEstimator):
    """Scores every event by its feature, as a classifier that found its trend would."""

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, X):
        score = 1 / (1 + np.exp(-X[:, 0]))
        return np.stack([1 - score, score], axis=1)


@pytest.mark.parametrize("events", [24_000, 200_000, 1_000_000])
def test_gates_have_a_size_that_does_not_shrink_with_the_events(events):
    X, mass, ids, _ = dijets(events, features=1)
    far = np.log(mass / 2900)[:, None] / np.log(3600 / 2900)  # -1.25 to 1 over the sidebands
    realistic = gates(X + 0.03 * far**2 + 0.03 * far, mass, ids, Learned())
    assert len(realistic) == 5
    assert all(gate.passed for gate in realistic.values()), realistic
    # With a million events a straight line through the sidebands would refuse this.
    bent = "from a straight line in mass" in realistic["inverted selection"].explanation
    assert bent == (events == 1_000_000)
    assert not all(gate.passed for gate in gates(X + 0.4 * far, mass, ids, Learned()).values())
    # What is there in the window alone is no curvature.
    island = X - 0.4 * (WINDOWS.windows[0].region(mass) == WINDOW)[:, None]
    assert not gates(island, mass, ids, Learned())["inverted selection"].passed


def test_an_island_in_the_fake_window_fails_its_gate():
    X, mass, ids, _ = dijets(200_000, features=1)
    low, high = np.quantile(mass[WINDOWS.windows[0].region(mass) == LOW], [0.25, 0.75])
    island = X + 0.4 * ((mass > low) & (mass < high))[:, None]
    assert not gates(island, mass, ids, Learned())["fake window"].passed


def test_gates_are_made_at_every_efficiency_that_has_the_events_for_them():
    X, mass, ids, _ = dijets(8000)
    recipe = Recipe(WINDOWS, {"": logistic()}, members=1, attribute_fraction=1)
    sample = make_sample(X, mass, ids)
    result = closure_gates(sample, recipe, train_window(0, sample, recipe).scores, [0.005, 0.1, 0.05])
    made = [gate.name.rsplit(" at ", 1)[-1] for gate in result.gates[2:]]
    # The sidebands hold enough at 0.005; the windows, real and fake, do not.
    assert made == 3 * ["0.1"] + 3 * ["0.05"] + ["0.005"]
    assert result.left_out == [
        "inverted selection at 0.005 of window window",
        "fake window in the low sideband at 0.005 of window window",
    ]
