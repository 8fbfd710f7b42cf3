"""What the pictures of a classifier show is what scikit-learn and counting say."""

from itertools import pairwise

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

from training.loop.metrics import classification_metrics, softmax
from training.loop.plots import draw_calibration, draw_confusion, draw_roc, roc_curve

RNG = np.random.default_rng(11)
CLASSES = ["QCD", "Hbb", "Tbl"]


def fake() -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(900) % 3
    return softmax(RNG.normal(size=(900, 3)) + np.eye(3)[labels]), labels


def test_roc_curve_against_counting() -> None:
    signal, background = RNG.normal(1, 1, 300), RNG.normal(0, 1, 400)
    for wanted, found in list(zip(*roc_curve(signal, background), strict=True))[::20]:
        threshold = max(t for t in signal if (signal >= t).mean() >= wanted)
        assert found == (background >= threshold).mean()


def test_every_class_but_the_background_has_a_curve() -> None:
    axes = Figure().subplots()
    draw_roc(axes, *fake(), CLASSES)
    assert [line.get_label() for line in axes.lines] == ["Hbb", "Tbl"]


def test_confusion_matrix() -> None:
    probabilities, labels = fake()
    axes = Figure().subplots()
    draw_confusion(axes, classification_metrics(probabilities, labels, CLASSES)["confusion"], CLASSES)
    expected = confusion_matrix(labels, probabilities.argmax(1), normalize="true")
    assert [text.get_text() for text in axes.texts] == [f"{100 * value:.0f}" for value in expected.flatten()]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == CLASSES


def test_calibration_curve() -> None:
    probabilities, labels = fake()
    axes = Figure().subplots()
    draw_calibration(axes, classification_metrics(probabilities, labels, CLASSES)["calibration"])
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    edges = np.arange(16) / 15
    inside = [(a <= confidence) & (confidence < b) for a, b in pairwise(edges)]
    expected = np.array([(confidence[those].mean(), right[those].mean()) for those in inside if those.any()])
    np.testing.assert_allclose(np.asarray(axes.lines[1].get_xydata()), expected, atol=1e-12)
