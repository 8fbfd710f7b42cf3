"""Fine-tuning and judging as their user runs them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.synthetic import write_jetclass
from training import evaluate, finetune
from training.config import RunConfig
from training.data.loader import make_loader
from training.exporting.onnx_file import export_run
from training.exporting.onnx_graph import ExportError
from training.loop.batches import take
from training.loop.checkpoint import checkpoint_of, load_encoder, load_objective, read_checkpoint, save_checkpoint
from training.loop.metrics_log import read_metrics
from training.models.preprocess import DISPLACEMENT
from training.objectives.supervised import Supervised

SHORT = ("steps=6", "precision=fp32", "log_every=1", "data.batch_size=32", "finetune.validate_every=2")


def classifier(pretrained: Path, output: Path, *options: str) -> Path:
    arguments = ["--encoder", str(pretrained), "--labels-per-class", "20", "--output", str(output), "--device", "cpu"]
    changes = () if "--set" in options else ("--set", *SHORT)
    assert finetune.main([*arguments, *options, *changes]) == 0
    return output


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_encoder(run)[0].state_dict()


def distance(run: Path, other: Path) -> float:
    return sum(float((a - b).norm()) for a, b in zip(weights(run).values(), weights(other).values(), strict=True))


@pytest.mark.parametrize("head", ["linear", "mlp", "class_attention"])
def test_frozen_encoder_stays(pretrained: Path, tmp_path: Path, head: str) -> None:
    run = classifier(pretrained, tmp_path / head, "--mode", "freeze", "--head", head)
    assert distance(run, pretrained) == 0
    objective, config = load_objective(run)
    assert isinstance(objective, Supervised)
    assert isinstance(config, RunConfig)
    assert config.class_names[0] == "QCD"
    assert config.finetune is not None
    assert config.finetune.mode == "freeze"


def test_encoder_learns_slower_than_its_head(pretrained: Path, tmp_path: Path) -> None:
    run = classifier(pretrained, tmp_path / "a", "--mode", "finetune")
    assert distance(run, pretrained) > 0
    newest = sorted(run.glob("checkpoint-*.pt"))[-1]
    groups = read_checkpoint(newest)["optimiser"]["param_groups"]
    rates = {round(group["lr_scale"], 6): group["lr"] for group in groups}
    # The head; class token and blocks; the one block below them; the embedding.
    assert list(rates) == pytest.approx([1, 1 / 2, 0.85 / 2, 0.85**2 / 2], rel=1e-4)
    for scale, rate in rates.items():
        assert rate == pytest.approx(rates[1.0] * scale, rel=1e-3)


def test_labels_for_stopping_are_not_spent_unasked(pretrained: Path, tmp_path: Path) -> None:
    few = classifier(pretrained, tmp_path / "few")
    assert read_metrics(few)[-1]["step"] == 6
    assert "val_loss" not in read_metrics(few)[-1]
    assert not (few / "best.pt").exists()
    asked = classifier(pretrained, tmp_path / "asked", "--set", *SHORT, "finetune.val_jets=40")
    assert {"val_loss", "val_accuracy"} <= set(read_metrics(asked)[-1])
    every = ["--encoder", str(pretrained), "--output", str(tmp_path / "all"), "--device", "cpu", "--set", *SHORT]
    assert finetune.main(every) == 0
    assert "val_loss" in read_metrics(tmp_path / "all")[-1]


def test_the_head_learns_first(pretrained: Path, tmp_path: Path) -> None:
    half = ("objective.head_first=0.5", "objective.average=0", "checkpoint_every=1", "keep_checkpoints=9", "steps=6")
    run = classifier(pretrained, tmp_path / "a", "--set", *SHORT, *half)
    before, after = (run / f"checkpoint-{step:09d}.pt" for step in (3, 6))
    assert distance(before, pretrained) == 0
    assert distance(after, pretrained) > 0
    heads = [read_checkpoint(run / f"checkpoint-{step:09d}.pt")["objective"]["head.layers.0.weight"] for step in (1, 3)]
    assert not torch.equal(*heads)
    scratch = classifier(pretrained, tmp_path / "b", "--mode", "scratch", "--set", *SHORT, *half)
    assert load_objective(scratch)[1].objective["head_first"] == 0


def test_the_classifier_is_the_mean_of_its_last_weights(pretrained: Path, tmp_path: Path) -> None:
    change = ("objective.average=0.5", "checkpoint_every=1", "keep_checkpoints=9", "steps=6", "objective.head_first=0")
    run = classifier(pretrained, tmp_path / "a", "--set", *SHORT, *change)
    steps = [read_checkpoint(run / f"checkpoint-{step:09d}.pt")["objective"] for step in range(1, 7)]
    name = "encoder.blocks.0.qkv.weight"
    # A step belongs to the last half when half of the training was over before it.
    expected = torch.stack([weights[name] for weights in steps[3:]]).mean(0)
    torch.testing.assert_close(steps[-1][f"averaged.{name}"], expected)
    assert torch.equal(steps[1][f"averaged.{name}"], steps[1][name])
    torch.testing.assert_close(weights(run)["blocks.0.qkv.weight"], expected)
    objective, _ = load_objective(run)
    assert isinstance(objective, Supervised)
    assert torch.equal(objective.parts()[1].state_dict()["layers.0.weight"], steps[-1]["averaged.head.layers.0.weight"])
    card = export_run(run, tmp_path / "a.onnx")
    assert card.parity is not None
    assert card.parity.max_relative < 1e-4


@pytest.mark.parametrize("mode", ["finetune", "scratch"])
def test_a_fine_tuning_goes_on_as_if_it_had_never_stopped(pretrained: Path, tmp_path: Path, mode: str) -> None:
    recipe = ("objective.average=0.5", "objective.head_first=0.3", "checkpoint_every=3", "keep_checkpoints=9")
    options = ("--mode", mode, "--variables", "--set", *SHORT, *recipe)
    whole = classifier(pretrained, tmp_path / "whole", *options)
    again = classifier(pretrained, tmp_path / "again", "--resume", str(whole / "checkpoint-000000003.pt"), *options)
    one, other = (read_checkpoint(run / "checkpoint-000000006.pt") for run in (whole, again))
    assert one["objective"].keys() == other["objective"].keys()
    for name, value in one["objective"].items():
        assert torch.equal(value, other["objective"][name]), name


def test_variables_beside_the_embedding(pretrained: Path, tmp_path: Path) -> None:
    run = classifier(pretrained, tmp_path / "a", "--variables", "--head", "mlp")
    objective, config = load_objective(run)
    assert isinstance(objective, Supervised)
    assert objective.variables is not None
    assert {"log_mass", "log_pt_gev", "tau21", "log_softdrop_mass"} <= set(objective.variables.names)
    assert config.objective["variables"] is True
    jets = take(make_loader(config.data, labels=True, seed=0), 60)
    standard = objective.variables(jets)
    assert standard.isfinite().all()
    assert standard.mean(0).abs().max() < 0.6
    assert evaluate.main([str(run), "--device", "cpu"]) == 0
    with pytest.raises(ExportError, match="without --variables"):
        export_run(run, tmp_path / "a.onnx")
    card = export_run(run, tmp_path / "b.onnx", scores=False)
    assert card.class_names == ()
    assert card.parity is not None
    assert card.parity.max_relative < 1e-4


def test_the_card_tells_of_the_pretraining(pretrained: Path, tmp_path: Path) -> None:
    first = classifier(pretrained, tmp_path / "a", "--mode", "finetune")
    card = export_run(first, tmp_path / "a.onnx")
    _, config = load_encoder(pretrained)
    assert card.objective == "supervised"
    assert card.optional_fields == DISPLACEMENT
    assert card.pretraining["objective"]["name"] == config.objective["name"] == "pjepa"
    assert card.pretraining["steps"] == read_checkpoint(sorted(pretrained.glob("checkpoint-*.pt"))[-1])["step"]
    assert "/" not in str(card.pretraining["files"])
    second = classifier(first, tmp_path / "b", "--mode", "freeze")
    again = export_run(second, tmp_path / "b.onnx")
    assert again.pretraining["objective"]["name"] == "supervised"
    assert again.pretraining["pretraining"] == card.pretraining
    assert export_run(pretrained, tmp_path / "c.onnx").pretraining == {}


def test_scratch_starts_elsewhere_at_one_rate(pretrained: Path, tmp_path: Path) -> None:
    run = classifier(pretrained, tmp_path / "a", "--mode", "scratch")
    groups = read_checkpoint(sorted(run.glob("checkpoint-*.pt"))[-1])["optimiser"]["param_groups"]
    assert {group["lr_scale"] for group in groups} == {1.0}
    assert load_objective(run)[1].optimiser.lr == 2e-3
    slow = ("--set", *SHORT, "finetune.head_lr_factor=50")
    tuned = classifier(pretrained, tmp_path / "b", "--mode", "finetune", *slow)
    assert distance(run, pretrained) > 5 * distance(tuned, pretrained)


def test_seeds_are_judged_together(pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = classifier(pretrained, tmp_path / "a", "--seeds", "0", "1")
    runs = [str(output / "seed0"), str(output / "seed1")]
    assert evaluate.main([*runs, "--output", str(tmp_path / "results"), "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "2 runs: accuracy" in said
    assert "signal efficiency" in said
    accuracies = []
    for name in ("seed0", "seed1"):
        folder = tmp_path / "results" / name
        result = json.loads((folder / "evaluation.json").read_text())
        scores = np.load(folder / "scores.npz")
        assert result["classes"] == ["QCD", "Hbb", "Tbqq"]
        assert result["jets"] == len(scores["labels"]) == 90
        assert set(result["rejection"]) == {"Hbb", "Tbqq"}
        assert (folder / "evaluation.png").stat().st_size > 10_000
        accuracies.append(result["accuracy"])
    summary = json.loads((tmp_path / "results" / "summary.json").read_text())
    assert summary["accuracy"] == pytest.approx([np.mean(accuracies), np.std(accuracies, ddof=1)])


def test_probe_shows_its_baselines(pretrained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.main(["--probe", str(pretrained), "--labels-per-class", "30", "--device", "cpu"]) == 0
    result = json.loads((pretrained / "probe.json").read_text())
    assert result["jets"] == {"train": 90, "test": 90}
    assert set(result) == {"jets", "observables", "encoder", "random_encoder", "boosting"}
    said = capsys.readouterr().out
    for name in ("this encoder", "random encoder", "high-level variables"):
        assert name in said


def test_jets_of_the_training_are_refused(pretrained: Path, jetclass: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert evaluate.main(["--probe", str(pretrained), "--data", jetclass, "--device", "cpu"]) == 2
    assert "was trained on this file" in capfd.readouterr().err


def test_an_encoder_is_no_classifier(pretrained: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert evaluate.main([str(pretrained), "--device", "cpu"]) == 2
    assert "no classifier" in capfd.readouterr().err


def test_jets_of_one_class_judge_nothing(pretrained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = classifier(pretrained, tmp_path / "a")
    write_jetclass(tmp_path / "HToBB_110.root", 40, seed=50, label="Hbb")
    assert evaluate.main([str(run), "--data", str(tmp_path / "HToBB_110.root"), "--device", "cpu"]) == 2
    assert "all test jets are of class 'Hbb'" in capfd.readouterr().err


def test_too_few_labels(pretrained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["--encoder", str(pretrained), "--labels-per-class", "5000", "--output", str(tmp_path / "a")]
    assert finetune.main([*arguments, "--device", "cpu"]) == 2
    assert "5000" in capfd.readouterr().err


def test_an_encoder_from_elsewhere(
    pretrained: Path, jetclass: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """An encoder whose files are not on this machine, as the one that comes with the package."""
    content = read_checkpoint(checkpoint_of(pretrained))
    gone = {"files": ["gone/jets/*.root"], "test_files": ["gone/test/*.root"], "test_fraction": 0.0}
    content["config"]["data"] |= gone
    (tmp_path / "shipped").mkdir()
    save_checkpoint(content, tmp_path / "shipped" / "checkpoint-000000004.pt")
    run = classifier(tmp_path / "shipped", tmp_path / "a", "--data", jetclass)
    assert load_objective(run)[1].data.test_files is None
    assert evaluate.main([str(run), "--device", "cpu"]) == 0
    assert json.loads((run / "evaluation.json").read_text())["jets"] == 90
    assert evaluate.main([str(run), "--background", "qcd", "--device", "cpu"]) == 2
    assert "--background qcd: no such class; did you mean 'QCD'?" in capfd.readouterr().err
    assert evaluate.main([str(run), "--background", "Hbb", "--device", "cpu"]) == 0
    # Their name may be that of the jets that are here.
    content["config"]["data"]["files"] = [jetclass]
    save_checkpoint(content, tmp_path / "shipped" / "checkpoint-000000005.pt")
    again = classifier(tmp_path / "shipped", tmp_path / "again", "--data", jetclass)
    assert load_objective(again)[1].data.test_files is None
    assert evaluate.main([str(again), "--device", "cpu"]) == 2
    assert "give test jets with --data" in capfd.readouterr().err
    (tmp_path / "shipped" / "checkpoint-000000005.pt").unlink()
    capfd.readouterr()
    assert finetune.main(["--encoder", str(tmp_path / "shipped"), "--output", str(tmp_path / "b")]) == 2
    assert "jets: nothing matches gone/jets/*.root" in (said := capfd.readouterr().err)
    assert "give labelled jets with --data" in said
    probe = ["--probe", str(tmp_path / "shipped"), "--device", "cpu"]
    assert evaluate.main(probe) == 2
    assert "give test jets with --data" in capfd.readouterr().err
    assert evaluate.main([*probe, "--data", jetclass]) == 2
    assert "give labelled jets to fit probes to with --train-data" in capfd.readouterr().err
    assert evaluate.main([*probe, "--data", jetclass, "--train-data", jetclass]) == 2
    assert "is in --data and in --train-data" in capfd.readouterr().err
