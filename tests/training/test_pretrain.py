"""The entry script as its user runs it: killed and resumed, in two processes, and with wrong input."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks.gpu.weights import keep_weights
from benchmarks.synthetic import write_jetclass, write_tree
from jepa_coffea.constituents.record import DISPLACEMENT
from tests.training.conftest import pretraining
from training.exporting import onnx_file
from training.loop.checkpoint import Checkpoints, load_encoder, load_objective, read_checkpoint, save_checkpoint
from training.loop.metrics_log import read_metrics
from training.objectives.pjepa import PJEPA
from training.pretrain import main

ROOT = Path(__file__).parents[2]


def start(arguments: list[str], **variables: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | variables
    command = [sys.executable, str(ROOT / "training/pretrain.py"), *arguments]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def wait_for(folder: Path, step: int, process: subprocess.Popen[str]) -> None:
    while not any(line["step"] >= step for line in read_metrics(folder)):
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.01)


def losses(folder: Path) -> dict[int, float]:
    return {line["step"]: line["loss"] for line in read_metrics(folder) if "loss" in line}


def test_stopped_and_resumed_is_never_stopped(jetclass: str, tmp_path: Path) -> None:
    """Once by the signal of a batch system, which saves, and once by SIGKILL, which loses what is not saved."""
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    length = "steps=60"
    assert main(pretraining(jetclass, straight, length)) == 0
    for step, number, status in ((6, signal.SIGTERM, 75), (31, signal.SIGKILL, -signal.SIGKILL)):
        process = start([*pretraining(jetclass, stopped, length), "--resume", "auto"])
        wait_for(stopped, step, process)
        process.send_signal(number)
        _, said = process.communicate(timeout=400)
        assert process.returncode == status
        if status == 75:
            assert "SIGTERM at step" in said
            newest = sorted(stopped.glob("checkpoint-*.pt"))[-1]
            assert read_checkpoint(newest)["step"] == max(losses(stopped))
    assert 31 <= max(losses(stopped)) < 60
    assert main([*pretraining(jetclass, stopped, length), "--resume", "auto"]) == 0
    assert losses(stopped) == losses(straight)
    assert sorted(losses(stopped)) == list(range(1, 61))


def test_two_processes_are_one_with_the_same_batch(jetclass: str, tmp_path: Path) -> None:
    alone, both = tmp_path / "alone", tmp_path / "both"
    assert main(pretraining(jetclass, alone, "steps=8")) == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    variables = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = [start(pretraining(jetclass, both, "steps=8"), RANK=str(r), LOCAL_RANK=str(r), **variables) for r in (0, 1)]
    for process in ranks:
        _, said = process.communicate(timeout=400)
        assert process.returncode == 0, said
    assert losses(both) == pytest.approx(losses(alone), rel=2e-4)
    assert len(losses(both)) == 8


def test_run_folder_gives_back_encoder_and_configuration(jetclass: str, tmp_path: Path) -> None:
    assert main(pretraining(jetclass, tmp_path / "a", "steps=3", "seed=5")) == 0
    encoder, config = load_encoder(tmp_path / "a")
    assert encoder.config == config.encoder
    assert config.seed == 5
    assert config.class_names[:2] == ("QCD", "Hbb")
    assert "tau1" in config.observable_names
    objective, _ = load_objective(tmp_path / "a" / "checkpoint-000000003.pt")
    assert not objective.training
    assert main([*pretraining(jetclass, tmp_path / "a", "steps=3", "seed=5"), "--resume", "auto"]) == 0


def test_a_run_starts_from_the_weights_of_another(jetclass: str, tmp_path: Path) -> None:
    """With a rate of almost 0 its weights stay those it started from, although an option of its encoder is another."""
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(pretraining(jetclass, first, "steps=3", "seed=5", "encoder.boost_to_jet=false")) == 0
    assert main(pretraining(jetclass, second, "steps=1", "optimiser.lr=1e-30", f"start_from={first}")) == 0
    (old, _), (new, config) = load_objective(first), load_objective(second)
    assert config.encoder.boost_to_jet
    assert config.start_from == str(first)
    weights = dict(new.named_parameters())
    learnt = {name: weight for name, weight in old.named_parameters() if weight.requires_grad}
    assert {name.split(".")[0] for name in learnt} >= {"encoder", "predictor", "agreement", "observable_predictor"}
    assert all(torch.allclose(weight, weights[name], atol=1e-6) for name, weight in learnt.items())
    assert list(losses(second)) == [1]
    first.rename(tmp_path / "elsewhere")  # a resumed run has weights of its own
    assert main([*pretraining(jetclass, second, "steps=2", f"start_from={first}"), "--resume", "auto"]) == 0
    assert list(losses(second)) == [1, 2]


def test_another_objective_starts_from_the_encoder_alone(
    jetclass: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(pretraining(jetclass, first, "steps=3", "seed=5")) == 0
    supervised = ["steps=1", "optimiser.lr=1e-30", "objective={name: supervised}", f"start_from={first}"]
    assert main(pretraining(jetclass, second, *supervised)) == 0
    assert "only that is taken" in caplog.text
    old, new = load_encoder(first)[0].state_dict(), load_encoder(second)[0].state_dict()
    assert all(torch.allclose(weight, new[name], atol=1e-6) for name, weight in old.items())


def test_a_run_that_kept_only_its_encoder_is_started_from(
    jetclass: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    assert main(pretraining(jetclass, first, "steps=1")) == 0
    kept = next(iter(Checkpoints(first, 1).all()))
    keep_weights(kept, tmp_path / "encoder.pt", encoder=True, half=True)
    settings = ["steps=1", "optimiser.lr=1e-30", f"start_from={tmp_path / 'encoder.pt'}"]
    assert main(pretraining(jetclass, second, *settings)) == 0
    assert "no more than an encoder" in caplog.text
    old, new = load_encoder(first)[0].state_dict(), load_encoder(second)[0].state_dict()
    assert all(torch.allclose(weight, new[name], rtol=2e-3, atol=1e-6) for name, weight in old.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("encoder.pair_dims=[4, 4]", "a checkpoint of another architecture"),
        ("start_from=nowhere", "nowhere: expected a run folder"),
    ],
)
def test_weights_that_do_not_fit_are_not_started_from(
    jetclass: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], change: str, message: str
) -> None:
    assert main(pretraining(jetclass, tmp_path / "a", "steps=1")) == 0
    assert main(pretraining(jetclass, tmp_path / "b", "steps=1", f"start_from={tmp_path / 'a'}", change)) == 2
    assert message in capfd.readouterr().err
    assert not list((tmp_path / "b").glob("*.pt"))


def test_supervised_with_probe(jetclass: str, tmp_path: Path) -> None:
    changes = ["steps=6", "probe_every=6", "objective={name: supervised}"]
    assert main(pretraining(jetclass, tmp_path / "a", *changes)) == 0
    last = read_metrics(tmp_path / "a")[-1]
    for name in ("probe_linear_accuracy", "probe_random_knn_auc", "probe_boosting_accuracy"):
        assert 0 <= last[name] <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("encoder.heads=3", "heads: 3 heads do not divide the width 16"),
        ("objective.predictor={dim: 8, heads: 3}", "predictor: heads: 3 heads do not divide the predictor's width 8"),
        ("objective.name=pjepaa", "unknown 'pjepaa'"),
        ("objective.hiden=0.1", "unknown field hiden; did you mean 'hidden'?"),
        ("objective={hidden: 0.3}", "objective: has no name"),
        ("objective.hidden=[0.6, 0.2]", "hidden"),
        ("data.batch_sise=3", "unknown field data.batch_sise; did you mean 'batch_size'?"),
    ],
)
def test_wrong_settings_are_one_message(
    jetclass: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], change: str, message: str
) -> None:
    assert main(pretraining(jetclass, tmp_path / "a", change)) == 2
    said = capfd.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_what_is_promised_is_logged(jetclass: str, tmp_path: Path) -> None:
    assert main(pretraining(jetclass, tmp_path / "a", "steps=2", "monitor_every=2")) == 0
    last = read_metrics(tmp_path / "a")[-1]
    parts = {"particle", "agreement", "observables", "identity"}
    rates = {"lr", "weight_decay", "ema", "grad_norm", "jets_per_s", "data_wait", "mfu"}
    looks = {"rankme", "rankme_particles", "std", "std_min", "teacher_student_cosine", "target_variance"}
    assert {"loss"} | parts | rates | looks <= set(last)
    weights = read_checkpoint(tmp_path / "a" / "checkpoint-000000002.pt")["config"]["objective"]["weights"]
    assert last["loss"] == pytest.approx(sum(weights[part] * last[part] for part in parts), rel=1e-4)


def test_the_card_calls_dropped_fields_optional(jetclass: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(pretraining(jetclass, tmp_path / "a", "steps=1", "objective.drop_displacement=0.3")) == 0
    told: dict[str, object] = {}
    monkeypatch.setattr(onnx_file, "export_encoder", lambda *_, **options: told.update(options))
    onnx_file.export_run(tmp_path / "a", tmp_path / "a.onnx")
    assert told["optional_fields"] == DISPLACEMENT


def test_deterministic_runs_are_the_same_to_the_bit(jetclass: str, tmp_path: Path) -> None:
    try:
        for name in ("a", "b"):
            assert main(pretraining(jetclass, tmp_path / name, "steps=4", "deterministic=true")) == 0
    finally:
        torch.use_deterministic_algorithms(False)
    assert losses(tmp_path / "a") == losses(tmp_path / "b")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
    ],
)
def test_out_of_memory_is_one_message(
    jetclass: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def greedy(*_: object) -> None:
        raise error

    monkeypatch.setattr(PJEPA, "look", greedy)
    assert main(pretraining(jetclass, tmp_path / "a")) == 2
    said = capfd.readouterr().err
    assert "out of memory on a batch of 32 jets x" in said
    assert "lower the batch size" in said
    assert "Traceback" not in said


def test_labels_are_missing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "unlabelled_000.root"
    arrays = write_jetclass(path, 300, seed=1)
    write_tree(path, {name: values for name, values in arrays.items() if not name.startswith("label_")})
    assert main(pretraining(str(path), tmp_path / "a", "objective={name: supervised}")) == 2
    said = capfd.readouterr().err
    assert "unlabelled_000.root: no labels in this file" in said
    assert "Traceback" not in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_no_such_device(jetclass: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["cuda" if word == "cpu" else word for word in pretraining(jetclass, tmp_path / "a")]
    assert main(arguments) == 2
    assert "torch sees no CUDA device" in capfd.readouterr().err


def test_two_trainings_in_one_folder_are_refused(
    jetclass: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The second says so and disturbs nothing; Ctrl-C then ends the first, which saves and can go on."""
    process = start([*pretraining(jetclass, tmp_path / "a", "steps=100000"), "--resume", "auto"])
    wait_for(tmp_path / "a", 4, process)
    assert main([*pretraining(jetclass, tmp_path / "a", "steps=100000"), "--resume", "auto"]) == 2
    assert f"is in use by process {process.pid} on " in capfd.readouterr().err
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=400)
    assert process.returncode == 130
    assert "SIGINT at step" in said
    assert "Traceback" not in said
    newest = sorted((tmp_path / "a").glob("checkpoint-*.pt"))[-1]
    assert read_checkpoint(newest)["step"] == max(losses(tmp_path / "a"))
    weights_only = read_checkpoint(newest)
    del weights_only["optimiser"]
    save_checkpoint(weights_only, newest)
    assert main([*pretraining(jetclass, tmp_path / "a", "steps=100000"), "--resume", "auto"]) == 2
    assert f"{newest}: has no 'optimiser'; it holds weights to start from" in capfd.readouterr().err


def test_wrong_files_are_one_message(jetclass: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(pretraining(str(tmp_path / "*.root"), tmp_path / "a")) == 2
    assert "nothing matches" in capfd.readouterr().err
    assert main(pretraining(jetclass, tmp_path / "b", "steps=2")) == 0
    capfd.readouterr()
    assert main(pretraining(jetclass, tmp_path / "b", "steps=2")) == 2
    assert "already holds a run" in capfd.readouterr().err
    other = [*pretraining(jetclass, tmp_path / "b", "steps=2", "encoder.blocks=2"), "--resume", "auto"]
    before = (tmp_path / "b" / "config.yaml").read_text()
    assert main(other) == 2
    assert "another architecture: encoder.blocks is 1 in the checkpoint and 2 here" in capfd.readouterr().err
    assert (tmp_path / "b" / "config.yaml").read_text() == before
    one = jetclass.replace("*", "HToBB_000")
    names = "class_names=[QCD, Hbb]"
    assert main([*pretraining(one, tmp_path / "b", "steps=3", names), "--resume", "auto"]) == 2
    said = capfd.readouterr().err
    assert "checkpoint-000000002.pt: the loader state was saved with other data" in said
    assert "Traceback" not in said
