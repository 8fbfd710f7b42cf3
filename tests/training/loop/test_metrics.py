import numpy as np
import pytest

from training.loop.metrics import (
    auc,
    calibration,
    classification_metrics,
    confusion,
    discriminant,
    rejection,
    softmax,
)

RNG = np.random.default_rng(3)


def fake(jets: int = 600, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(jets) % classes
    return softmax(RNG.normal(size=(jets, classes)) + 1.5 * np.eye(classes)[labels]), labels


def test_auc_against_counting_pairs() -> None:
    probabilities, labels = fake(90)
    pairs = []
    for a in range(3):
        for b in range(3):
            if a != b:
                x, y = probabilities[labels == a, a], probabilities[labels == b, a]
                pairs.append((x[:, None] > y).mean() + 0.5 * (x[:, None] == y).mean())
    assert auc(probabilities, labels) == pytest.approx(np.mean(pairs), abs=1e-12)


def test_auc_of_two_classes() -> None:
    scores = np.array([0.1, 0.4, 0.35, 0.8])
    assert auc(np.stack([1 - scores, scores], 1), np.array([0, 0, 1, 1])) == pytest.approx(0.75)


def test_rejection_of_exponential_scores() -> None:
    # Signal uniform on [0, 1], background with density 4 (1 - x)^3: eps_B at eps_S = 1/2 is (1/2)^4.
    signal, background = RNG.uniform(size=400_000), 1 - RNG.uniform(size=400_000) ** 0.25
    value, error = rejection(signal, background, 0.5)
    assert abs(value - 16) < 4 * error
    assert error == pytest.approx(16 / np.sqrt(400_000 / 16), rel=0.03)


def test_rejection_keeps_the_asked_efficiency() -> None:
    signal = np.arange(10.0)
    assert rejection(signal, np.array([4.5, 5.0, 8.0, 1.0]), 0.5) == pytest.approx((2.0, 2 / np.sqrt(2)))
    assert rejection(signal, np.array([0.5]), 0.5) == (np.inf, np.inf)


def test_discriminant_of_two_impossible_classes() -> None:
    p = np.array([[0.2, 0.6, 0.2], [0.0, 0.0, 1.0]])
    assert discriminant(p, 1, 0) == pytest.approx([0.75, 0.5])


def test_confusion_rows_add_up() -> None:
    p, labels = fake()
    table = confusion(p, labels)
    assert np.allclose(table.sum(1), 1)
    assert np.trace(table) / 3 == pytest.approx((p.argmax(1) == labels).mean())


def test_calibration_of_true_probabilities() -> None:
    p = softmax(RNG.normal(size=(200_000, 4)))
    labels = (p.cumsum(1) > RNG.uniform(size=(len(p), 1))).argmax(1)
    assert calibration(p, labels)["expected_calibration_error"] < 0.01
    overconfident = p**3 / (p**3).sum(1, keepdims=True)
    assert calibration(overconfident, labels)["expected_calibration_error"] > 0.1


def test_working_points_and_background() -> None:
    p, labels = fake()
    result = classification_metrics(p, labels, ["QCD", "Hqql", "Tbl"])
    assert {k: v["signal_efficiency"] for k, v in result["rejection"].items()} == {"Hqql": 0.99, "Tbl": 0.995}
    assert classification_metrics(p, labels, ["a", "b", "c"])["rejection"] == {}


def test_unbounded_rejection_is_none() -> None:
    labels = np.array([0, 1, 0, 1])
    result = classification_metrics(np.eye(2)[labels], labels, ["QCD", "top"])
    assert result["accuracy"] == result["auc"] == 1
    assert result["rejection"]["top"]["rejection"] is None


def test_classes_without_jets_are_left_out() -> None:
    p, labels = fake()
    wide = np.insert(p * 0.5, 1, 0.5, axis=1)
    result = classification_metrics(wide, np.where(labels > 0, labels + 1, 0), ["QCD", "Hbb", "Hcc", "Hgg"])
    expected = classification_metrics(p, labels, ["QCD", "Hcc", "Hgg"])
    assert result["absent"] == ["Hbb"]
    assert result["classes"] == ["QCD", "Hcc", "Hgg"]
    assert result["auc"] == pytest.approx(expected["auc"])
    assert result["rejection"]["Hgg"]["rejection"] == pytest.approx(expected["rejection"]["Hgg"]["rejection"])
