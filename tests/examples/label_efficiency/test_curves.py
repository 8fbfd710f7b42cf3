"""Bands and tables from made-up points."""

import json
from pathlib import Path

import numpy as np
import pytest

from examples.label_efficiency import trees
from examples.label_efficiency.curves import curves_of, draw, judged, legend, table_of
from examples.label_efficiency.points import Point
from examples.label_efficiency.trees import tuned


def evaluation(accuracy: float, rejection: float | None) -> dict[str, object]:
    rows = {"Hbb": {"rejection": rejection}, "Tbqq": {"rejection": 100.0}}
    return {"jets": 50, "accuracy": accuracy, "auc": 0.8, "rejection": rows}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for curve, labels, number, accuracy, rejection in (
        ("a", 10, 0, 0.4, 25.0),
        ("a", 10, 1, 0.5, 25.0),
        ("a", 10, 2, 0.6, None),
        ("a", None, 0, 0.9, 25.0),
        ("b", 1000, 0, 0.7, 25.0),
    ):
        where = Point(curve, labels, number).folder(tmp_path)
        where.mkdir(parents=True)
        (where / "evaluation.json").write_text(json.dumps(evaluation(accuracy, rejection)))
    return tmp_path


def test_bands_are_of_the_population(folder: Path) -> None:
    curves = curves_of(judged(folder))
    assert list(curves["a"]) == ["10", "all"]
    assert curves["a"]["10"]["accuracy"] == pytest.approx([0.5, 0.1])
    assert curves["a"]["10"]["trainings"] == 3
    # Geometric means of the classes that any background jet passes: 50, 50, 100.
    assert curves["a"]["10"]["rejection"] == pytest.approx([200 / 3, np.std([50, 50, 100], ddof=1)])
    assert curves["b"]["1000"]["accuracy"] == pytest.approx([0.7, 0.0])


def test_a_table_says_how_far_trainings_spread(folder: Path) -> None:
    text = table_of(curves_of(judged(folder))).splitlines()
    assert text[0] == "| accuracy, labels per class: | 10 | 1000 | all |"
    assert text[2] == "| a | 0.500 +- 0.100 |  | 0.900 |"
    assert text[3] == "| b |  | 0.700 |  |"
    draw(curves_of(judged(folder)), folder / "a.png")
    assert (folder / "a.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("curve", "words"),
    [
        ("boosting", "trees on variables"),
        ("boosting-pjepa", "trees on variables and pjepa"),
        ("scratch-seen-variables", "network from scratch, variables beside it"),
        ("a-b-freeze", "a-b, frozen, trained head"),
        ("a-finetune-variables", "a, fine-tuned, variables beside it"),
        ("a-logistic", "a, frozen"),
        ("mine", "mine"),
    ],
)
def test_legends_say_what_a_curve_is(curve: str, words: str) -> None:
    assert legend(curve) == words


def test_trees_are_chosen_on_their_own_jets() -> None:
    every = trees.candidates(1)
    assert any(name.startswith("boosting") for name in every)
    quick = {name: one for name, one in every.items() if name.startswith("logistic")}
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    X = rng.normal(size=(120, 4)).astype(np.float32)
    X[:, 0] += 3 * (y == 1)
    X[:, 1] += 3 * (y == 2)
    X[::7, 2] = np.nan
    classifier, losses = tuned(X, y, 1, quick)
    assert set(losses) == set(quick)
    assert min(losses.values()) < 0.5 < np.log(3)
    assert (classifier.predict(X) == y).mean() > 0.9
