"""A study of objectives at equal compute, in miniature, and its arms."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import yaml

from benchmarks.synthetic import write_jetclass
from tests.training.conftest import FILES, ROOT
from training import pretrain
from training.config import read_config
from training.loop.checkpoint import new_objective
from training.objectives.pjepa import PJEPA
from training.studies.jobs import Job, Runner, _write_status, finished
from training.studies.objective_study import ARMS, DEFAULT, main, markdown, summary
from training.studies.results import OBJECTIVES

MINI = ROOT / "training" / "configs" / "pjepa_mini.yaml"


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_can_be_built(arm: str) -> None:
    config = read_config(MINI, ARMS[arm], data=["x.root"])
    config = config.model_copy(update={"observable_names": ("tau1", "tau2")})
    with torch.device("meta"):
        objective = new_objective(config)
    assert config.encoder == read_config(MINI, data=["x.root"]).encoder
    if isinstance(objective, PJEPA):
        weights, whole = objective.config.weights, arm.startswith("all") or arm == "random"
        assert bool(weights.particle) == (arm.startswith("particle") or whole)
        assert bool(weights.agreement) == ("agreement" in arm or whole)
        assert bool(weights.observables) == (arm != "all-but-observables" and ("observables" in arm or whole))
        assert bool(weights.variance) == arm.startswith("particle")
        assert objective.config.observables_final == (0 if arm == "all-curriculum" else None)
        assert weights.identity <= 0.1
    else:
        assert arm in ("mpm", "jetclr")


@pytest.mark.parametrize(("name", "parts"), [("jepa", ("agreement", "particle")), ("observables", ("observables",))])
def test_the_older_study_compares_what_it_says(name: str, parts: tuple[str, ...]) -> None:
    objective = new_objective(read_config(MINI, OBJECTIVES[name], data=["x.root"]))
    assert isinstance(objective, PJEPA)
    wanted = {part for part, weight in objective.config.weights if weight and part != "identity"}
    assert wanted == set(parts)


def test_by_default_what_the_question_is() -> None:
    both = ["particle", "agreement", "observables", "observables+agreement", "all"]
    assert [*both, "mpm", "jetclr", "random"] == DEFAULT


def here(runner: Runner, jobs: Sequence[Job]) -> None:
    """Pretrainings in this process, which start sooner than in processes of their own."""
    for job in jobs:
        if not finished(job.script, job.folders[0]):
            started = time.process_time()
            assert pretrain.main([*job.words, "--device", runner.device]) == 0
            _write_status(job.script, job.folders[0], 0, (time.process_time() - started) / 60)


def test_in_miniature(
    jetclass: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Runner, "together", here)
    sections = yaml.safe_load(MINI.read_text())
    sections["encoder"] |= {"embed_dims": [16], "pair_dims": [4], "heads": 2, "blocks": 3, "class_blocks": 1}
    sections["encoder"]["max_particles"] = sections["data"]["max_particles"] = 32
    sections |= {"monitor_every": 2, "log_every": 1, "precision": "fp32"}
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(sections))
    for seed, (name, label) in enumerate(FILES.items(), start=10):
        write_jetclass(tmp_path / f"{name}_000.root", 100, seed=seed, label=label)
    output = tmp_path / "study"
    words = ["--data", jetclass, "--test", str(tmp_path / "*.root"), "--output", str(output), "--config", str(config)]
    words += ["--labels", "5", "20", "--draws", "2", "--device", "cpu", "--seeds", "1"]
    assert main([*words, "--steps", "2", "--arms", "mpm", "random", "--part", "pretrain"]) == 0
    assert not (output / "study.json").exists()
    # Judged elsewhere, perhaps, where one of the runs did not arrive.
    assert main([*words, "--steps", "2", "--arms", "mpm", "jetclr", "random", "--part", "judge"]) == 0
    assert "jetclr-1: no finished pretraining there; left out" in " ".join(capfd.readouterr().err.split())
    first = json.loads((output / "study.json").read_text())
    stamp = (output / "mpm-1" / "probe.json").stat().st_mtime_ns
    # More arms later; what is done stays.
    assert main([*words, "--steps", "2", "--arms", "mpm", "random", "particle-own-out"]) == 0
    result = json.loads((output / "study.json").read_text())
    assert (output / "mpm-1" / "probe.json").stat().st_mtime_ns == stamp
    assert result["summary"]["mpm"] == first["summary"]["mpm"]
    assert result["arms"]["mpm"]["runs"][0]["steps"] == 2
    assert result["arms"]["random"]["runs"][0]["steps"] == 1
    for runs in (arm["runs"] for arm in result["arms"].values()):
        assert len(runs) == 1
        assert all(len(run["probes"][n]["accuracy"]) == 2 for run in runs for n in ("5", "20"))
        assert runs[0]["processor_minutes"] > 0
    text = (output / "study.md").read_text()
    assert text == markdown(result)
    assert all(f"| {arm} |" in text for arm in result["arms"])
    assert main([*words, "--steps", "3"]) == 2
    assert "steps 2, not 3" in capfd.readouterr().err


def test_the_spread_is_that_over_seeds() -> None:
    def run(*accuracies: float, rankme: float | None = 20.0) -> dict[str, object]:
        probes = {"100": {"accuracy": list(accuracies), "auc": [0.5, 0.5]}}
        return {"probes": probes, "steps": 10, "jets": 640, "processor_minutes": 1.0, "rankme": rankme}

    found = summary([run(0.3, 0.5), run(0.5, 0.7, rankme=30.0)])
    assert found["rankme"] == 25
    assert summary([run(0.3), run(0.5, rankme=None)])["rankme"] is None
    assert found["accuracy"]["100"] == pytest.approx((0.5, 0.2 / 2**0.5))
    assert found["auc"]["100"] == (0.5, 0.0)
    assert found["jets"] == 640
