"""A study of pretrainings: what it runs, how it goes on when it was killed, and what it prints from made-up results."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.conftest import pretraining
from training.config import RunConfig
from training.loop.loop import Outcome
from training.studies import jobs as study_jobs
from training.studies import steps as study_steps
from training.studies.comparison import finetune, pretrain
from training.studies.jobs import Job, PretrainingStudy, StudyError, finished, read_status
from training.studies.pretraining_study import main
from training.studies.results import OBJECTIVES, draw, reached, rows, table, validation_accuracy
from training.studies.steps import processor_seconds, steps_of

SCRIPT = """
import sys
from pathlib import Path
words = sys.argv[1:]
folder = Path(words[words.index("--output") + 1])
folder.mkdir(parents=True, exist_ok=True)
with (folder / "calls").open("a") as calls:
    calls.write(" ".join(words) + "\\n")
if (folder / "broken").exists():
    (folder / "broken").unlink()
    print("no memory")
    sys.exit(2)
"""
"""In place of a training: says how it was called, fails once where it is told to."""


@pytest.fixture
def study(tmp_path: Path) -> PretrainingStudy:
    for name in OBJECTIVES:
        (tmp_path / name).mkdir()
        lines = [{"step": m, "rankme": 3 + m, "probe_linear_accuracy": 0.4 + 0.01 * m} for m in range(5)]
        (tmp_path / name / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return PretrainingStudy(
        data=["x"], test=[], output=tmp_path, config="c.yaml", minutes=1.0, labels=50, seeds=[0, 1], jobs=2,
        device="cpu", settings=["steps=9"], finetune_settings=["steps=8"],
    )  # fmt: skip


@pytest.fixture
def scripts(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path_factory.mktemp("root")
    (root / "training").mkdir()
    for name in ("pretrain", "finetune"):
        (root / "training" / f"{name}.py").write_text(SCRIPT)
    monkeypatch.setattr(study_jobs, "ROOT", root)


def calls(folder: Path) -> list[str]:
    path = folder / "calls"
    return path.read_text().splitlines() if path.is_file() else []


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
        "device": "a device",
    }


def test_rows_end_with_the_best(study: PretrainingStudy) -> None:
    found = rows(made_up())
    assert found[0][:2] == ("random", "freeze")
    assert found[-1][:2] == ("both", "finetune")
    assert ("none: from scratch", "scratch") in [row[:2] for row in found]
    assert len(found) == 9


def test_table_and_picture(study: PretrainingStudy) -> None:
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


def test_validation_takes_the_lowest_loss(study: PretrainingStudy) -> None:
    for seed, accuracy in ((0, 0.6), (1, 0.8)):
        run = study.classifier("both-freeze", seed)
        run.mkdir(parents=True)
        records = [{"val_loss": 2.0, "val_accuracy": 0.9}, {"val_loss": 1.0, "val_accuracy": accuracy}, {"loss": 0.1}]
        lines = [{"step": step, **record} for step, record in enumerate(records)]
        (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert validation_accuracy(study, "both-freeze") == pytest.approx((0.7, 0.1 * 2**0.5))


@pytest.mark.parametrize(("jobs", "minutes"), [(1, 0.2), (2, 0.3), (3, 0.6), (8, 0.6)])
def test_one_after_another_share_the_time(study: PretrainingStudy, jobs: int, minutes: float) -> None:
    assert replace(study, jobs=jobs, minutes=1).minutes_each(0.6, 3) == pytest.approx(minutes)


@pytest.mark.usefixtures("scripts")
def test_what_is_finished_is_not_done_again(study: PretrainingStudy) -> None:
    by_hand = study.output / "jepa"
    (by_hand / "pretrain.status.json").write_text('{"status": 0, "processor_minutes": 61.5}')
    (study.output / "both" / "broken").touch()
    with pytest.raises(StudyError, match=r"pretrain.py ended with status 2(.|\n)*no memory"):
        pretrain(replace(study, jobs=1))
    assert [len(calls(study.output / name)) for name in (*OBJECTIVES, "random")] == [0, 1, 1, 0]
    assert read_status("pretrain", study.output / "both")["status"] == 2
    pretrain(study)
    assert [len(calls(study.output / name)) for name in (*OBJECTIVES, "random")] == [0, 1, 2, 1]
    assert all("--resume auto" in call and "steps=9" in call for call in calls(study.output / "both"))
    assert all(finished("pretrain", study.output / name) for name in (*OBJECTIVES, "random"))
    assert read_status("pretrain", by_hand)["processor_minutes"] == 61.5
    assert 0 < read_status("pretrain", study.output / "both")["processor_minutes"] < 1


@pytest.mark.usefixtures("scripts")
def test_all_trainings_hold_out_the_same_test_jets(study: PretrainingStudy) -> None:
    apart = replace(study, test=["test/*.root"])
    pretrain(apart)
    finetune(apart)
    said = [calls(study.output / name) for name in (*OBJECTIVES, "random")]
    said += [calls(folder) for folder in (study.output / "classifiers").iterdir()]
    assert len(said) == 12
    assert all(len(lines) == 1 and 'data.test_files=["test/*.root"]' in lines[0] for lines in said)
    assert sum("--max-minutes" in lines[0] for lines in said) == 0


@pytest.mark.usefixtures("scripts")
def test_steps_fit_the_same_processor_minutes(study: PretrainingStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"jepa": 0.2, "observables": 0.1, "both": 0.25}

    def measured(config: str) -> float:
        return seconds[Path(config).name]

    monkeypatch.setattr(study_steps, "configuration", lambda job: str(job.folders[0]))
    monkeypatch.setattr(study_steps, "processor_seconds", measured)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    unset = replace(study, settings=[], minutes=10, jobs=3)
    pretrain(unset)
    seconds = dict.fromkeys(seconds, 99.0)  # measured once, whatever the machine does later
    for name in OBJECTIVES:
        (study.output / name / "pretrain.status.json").unlink()
    pretrain(unset)
    for name, steps in {"jepa": 4950, "observables": 9900, "both": 3960}.items():
        assert all(f" steps={steps} " in f"{call} " for call in calls(study.output / name))


def test_a_step_is_measured(jetclass: str, study: PretrainingStudy, tmp_path: Path) -> None:
    words = pretraining(jetclass, tmp_path / "none")
    job = Job("pretrain", (tmp_path / "none",), tuple(words))
    config = study_steps.configuration(job)
    assert isinstance(config, RunConfig)
    assert 1e-4 < processor_seconds(config, warmup=1, steps=3) < 10
    steps = steps_of(replace(study, minutes=1), {"jepa": job}, 0.5)["jepa"]
    known = json.loads((tmp_path / "cost.json").read_text())["jepa"]
    assert steps == max(1, round(30 * study.threads / known))
    assert not (tmp_path / "none").exists()


def test_a_measurement_that_is_stopped_says_so(jetclass: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = study_steps.configuration(Job("pretrain", (tmp_path,), tuple(pretraining(jetclass, tmp_path))))
    monkeypatch.setattr(study_steps, "train", lambda *_, **__: Outcome(1, "SIGTERM"))
    with pytest.raises(StudyError, match="SIGTERM while"):
        processor_seconds(config, warmup=1, steps=3)


def test_other_settings_need_another_folder(tmp_path: Path, scripts: None, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--data", "x", "--output", str(tmp_path), "--device", "cpu", "--set", "steps=1"]
    (tmp_path / "jepa").mkdir()
    for labels, said in ((10, "no memory"), (20, "labels 10, not 20")):
        (tmp_path / "jepa" / "broken").touch()
        assert main([*arguments, "--labels", str(labels)]) == 2
        assert said in capsys.readouterr().err
