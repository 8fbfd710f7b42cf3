"""The label curve in miniature: the project's own scripts, on three classes of made-up jets."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from examples.label_efficiency import points, trees
from examples.label_efficiency.points import Point, scale_settings, steps_with
from examples.label_efficiency.run import main
from training import evaluate, finetune
from training.loop.checkpoint import load_objective, read_checkpoint, save_checkpoint
from training.studies import jobs
from training.studies.jobs import Job, Runner

SCRIPTS = {"finetune": finetune.main, "evaluate": evaluate.main, "trees": trees.main}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Scripts that were called; they run in this process, which saves the time to import torch."""
    done: list[Job] = []

    def together(self: Runner, every: Sequence[Job]) -> None:
        for job in every:
            if all(jobs.finished(job.script, folder) for folder in job.folders):
                continue
            assert SCRIPTS[job.script]([*job.words, "--device", self.device]) == 0
            done.append(job)
            for folder in job.folders:
                jobs._write_status(job.script, folder, 0, 0.1)

    monkeypatch.setattr(Runner, "together", together)
    monkeypatch.setattr(trees, "candidates", lambda seed: {"logistic": trees_of(seed)["logistic regression, C = 0.1"]})
    return done


trees_of = trees.candidates


def arguments(pretrained: Path, jetclass: str, output: Path, *more: str) -> list[str]:
    tiny = ["steps=2", "precision=fp32", "log_every=1", "data.batch_size=16"]
    given = ["--data", jetclass, "--encoder", f"tiny={pretrained}", "--output", str(output), "--jobs", "1"]
    return [*given, "--device", "cpu", "--set", *tiny, *more]


def test_a_curve(pretrained: Path, jetclass: str, tmp_path: Path, calls: list[Job]) -> None:
    modes = ["--modes", "freeze", "finetune-variables", "--scratch", "scratch-seen"]
    few = arguments(pretrained, jetclass, tmp_path, *modes, "--labels", "10", "20", "--draws", "2")
    assert main(few) == 0
    found = json.loads((tmp_path / "results.json").read_text())
    curves = found["curves"]
    trained = {"tiny-freeze", "tiny-finetune-variables", "scratch-seen"}
    assert set(curves) == {*trained, "boosting", "boosting-tiny", "tiny-logistic", "tiny-logistic-blind"}
    for rows in curves.values():
        assert list(rows) == ["10", "20"]
        assert all(row["trainings"] == 2 for row in rows.values())
        assert all(0 < row["accuracy"][0] < 1 for row in rows.values())
    assert {point["jets"] for point in found["points"]} == {90}
    assert (tmp_path / "label_efficiency.png").stat().st_size > 10_000
    assert "| tiny-freeze | 0." in (tmp_path / "results.md").read_text()
    # What was asked for is what was trained.
    _, config = load_objective(Point("tiny-finetune-variables", 20, 1).folder(tmp_path))
    assert config.objective["variables"] is True
    assert (config.data.labels_per_class, config.data.subset_seed, config.seed, config.steps) == (20, 1, 1, 2)
    _, config = load_objective(Point("scratch-seen", 10, 0).folder(tmp_path))
    assert config.finetune is not None
    assert config.finetune.mode == "scratch"
    # Once more: nothing is done again; one draw more: only that.
    calls.clear()
    assert main(few) == 0
    assert calls == []
    more = arguments(pretrained, jetclass, tmp_path, "--modes", "freeze", "--scratch", "--labels", "10", "--draws", "3")
    assert main([*more, "--no-trees"]) == 0
    assert [job.script for job in calls] == ["finetune", "evaluate"]
    assert main(["--output", str(tmp_path), "--plot"]) == 0


def test_all_labels_have_one_draw(pretrained: Path, jetclass: str, tmp_path: Path, calls: list[Job]) -> None:
    given = arguments(pretrained, jetclass, tmp_path, "--modes", "freeze", "--scratch", "--labels", "all")
    assert main([*given, "--draws", "2"]) == 0
    curves = json.loads((tmp_path / "results.json").read_text())["curves"]
    assert set(curves) == {"tiny-freeze", "boosting", "boosting-tiny", "tiny-logistic", "tiny-logistic-blind"}
    assert all(rows["all"]["trainings"] == 1 for rows in curves.values())


def test_another_question_in_the_same_folder(
    pretrained: Path, jetclass: str, tmp_path: Path, calls: list[Job], capfd: pytest.CaptureFixture[str]
) -> None:
    common = ["--modes", "freeze", "--scratch", "--labels", "10", "--draws", "1", "--no-trees"]
    assert main(arguments(pretrained, jetclass, tmp_path, *common)) == 0
    assert main(arguments(pretrained, jetclass, tmp_path, *common, "--head", "mlp")) == 2
    assert "have head linear, not mlp" in capfd.readouterr().err
    assert main([*arguments(pretrained, jetclass, tmp_path, *common), "--encoder", "tiny-2=x"]) == 2
    assert "a name without a dash" in capfd.readouterr().err
    assert main(["--output", str(tmp_path), "--data", jetclass]) == 2
    assert "at least one --encoder" in capfd.readouterr().err


def test_steps_grow_with_labels() -> None:
    given = [steps_with(labels) for labels in (1, *points.LABELS, None)]
    assert given == sorted(given)
    assert steps_with(299) == steps_with(100)


def test_the_scale_is_withheld_as_the_network_can(pretrained: Path, tmp_path: Path) -> None:
    content = read_checkpoint(sorted(pretrained.glob("checkpoint-*.pt"))[-1])
    has_input = content["config"]["encoder"]["scale_input"]
    expected = {True: ("objective.drop_scale=0", "objective.drop_scale=1")}
    without = ("encoder.scale_to_jet_pt=false", "encoder.scale_to_jet_pt=true")
    modes = ("scratch-seen-variables", "scratch-blind")
    assert [scale_settings(pretrained, mode)[0] for mode in modes] == list(expected.get(has_input, without))
    if has_input:
        content["config"]["encoder"]["scale_input"] = False
        content["objective"] = {k: v for k, v in content["objective"].items() if ".scale_input." not in k}
        save_checkpoint(content, tmp_path / "a.pt")
        assert [scale_settings(tmp_path / "a.pt", mode)[0] for mode in modes] == list(without)
