"""What the study prints and draws, from made-up results."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.pretraining_study import OBJECTIVES, Study, draw, reached, rows, table, validation_accuracy


@pytest.fixture
def study(tmp_path: Path) -> Study:
    for name in OBJECTIVES:
        (tmp_path / name).mkdir()
        lines = [{"minutes": m, "rankme": 3 + m, "probe_linear_accuracy": 0.4 + 0.01 * m} for m in range(5)]
        (tmp_path / name / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Study(["x"], tmp_path, "c.yaml", 1.0, 50, [0, 1], 2, "cpu", [], [])


def made_up() -> dict[str, object]:
    def scores(accuracy: float) -> dict[str, object]:
        return {"accuracy": [accuracy, 0.01], "auc": [0.9, 0.002], "rejection": {}}

    probe = {"encoder": {kind: {"accuracy": 0.5, "auc": 0.8} for kind in ("linear", "knn")}}
    names = [*OBJECTIVES, "random"]
    plans = {f"{name}-{mode}": scores(0.6) for name in OBJECTIVES for mode in ("finetune", "freeze")}
    return {
        "winner": "both",
        "test": plans | {"random-freeze": scores(0.41), "random-scratch": scores(0.52), "both-finetune": scores(0.7)},
        "test_jets": 1000,
        "labels_per_class": 50,
        "seeds": [0, 1],
        "probes": {name: probe | {"boosting": {"accuracy": 0.55, "auc": 0.85}} for name in names},
        "pretraining": {name: {"steps": 10, "jets": 5000, "processor_minutes": 2.9} for name in names},
        "pretraining_minutes": 3.0,
        "device": "a device",
    }


def test_rows_end_with_the_best(study: Study) -> None:
    found = rows(made_up())
    assert found[0][:2] == ("random", "freeze")
    assert found[-1][:2] == ("both", "finetune")
    assert ("none: from scratch", "scratch") in [row[:2] for row in found]
    assert len(found) == 9


def test_table_and_picture(study: Study) -> None:
    text = table(study, made_up())
    assert "| both | finetune | 0.7000 +- 0.0100 | 0.9000 +- 0.0020 |" in text
    assert "| random | 10 | 5,000 | 2.9 | 0.5000 | 0.5000 |" in text
    draw(study, made_up())
    assert (study.output / "study.png").stat().st_size > 10_000


def test_what_the_card_tells() -> None:
    told = reached(made_up())
    assert told["fine-tuned"] == {"accuracy": 0.7, "accuracy_spread": 0.01, "auc": 0.9, "auc_spread": 0.002}
    assert told["same architecture from scratch"]["accuracy"] == 0.52
    assert told["gradient boosting on high-level variables"] == {"accuracy": 0.55, "auc": 0.85}
    assert (told["test_jets"], told["labels_per_class"], told["seeds"]) == (1000, 50, [0, 1])


def test_validation_takes_the_lowest_loss(study: Study) -> None:
    for seed, accuracy in ((0, 0.6), (1, 0.8)):
        run = study.classifier("both-freeze", seed)
        run.mkdir(parents=True)
        lines = [{"val_loss": 2.0, "val_accuracy": 0.9}, {"val_loss": 1.0, "val_accuracy": accuracy}, {"loss": 0.1}]
        (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert validation_accuracy(study, "both-freeze") == pytest.approx((0.7, 0.1))


@pytest.mark.parametrize(("jobs", "minutes"), [(1, 0.2), (2, 0.3), (3, 0.6), (8, 0.6)])
def test_one_after_another_share_the_time(study: Study, jobs: int, minutes: float) -> None:
    assert replace(study, jobs=jobs, minutes=1).minutes_each(0.6, 3) == pytest.approx(minutes)
