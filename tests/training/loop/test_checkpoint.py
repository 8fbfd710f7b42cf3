import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from training.loop.checkpoint import (
    PRETRAINED,
    CheckpointError,
    Checkpoints,
    _differences,
    checkpoint_of,
    load_encoder,
    load_objective,
    read_checkpoint,
    restore,
    save_checkpoint,
)
from training.loop.numerics import random_state, seed_everything, set_random_state
from training.models.encoder import Encoder
from training.objectives import dropped_by
from training.objectives.pjepa import PJEPA


def test_all_generators_come_back(tmp_path: Path) -> None:
    def draw() -> list[float]:
        return [float(torch.rand(1)), float(np.random.normal()), random.gauss(0, 1)]  # noqa: NPY002

    seed_everything(3)
    draw()
    save_checkpoint({"random": random_state()}, tmp_path / "a.pt")
    expected = [draw(), draw()]
    set_random_state(read_checkpoint(tmp_path / "a.pt")["random"])
    assert [draw(), draw()] == expected


def test_killed_while_writing_leaves_the_old_one(tmp_path: Path) -> None:
    code = f"""
import torch
from pathlib import Path
from training.loop.checkpoint import Checkpoints
for step in range(10**6):
    Checkpoints(Path({str(tmp_path)!r}), 2).save(step, {{"x": torch.full((200_000,), float(step))}})
"""
    process = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(Path.cwd())})
    while len(list(tmp_path.glob("*.pt"))) < 2:
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(0.2)
    process.kill()
    process.wait()
    for path in Checkpoints(tmp_path, 2).all():
        content = read_checkpoint(path)
        assert (content["x"] == content["step"]).all()
    Checkpoints(tmp_path, 2).save(10**8, {})
    assert not list(tmp_path.glob(".*"))


def test_best_goes_before_newest(tmp_path: Path) -> None:
    Checkpoints(tmp_path, 2).save(1, {})
    Checkpoints(tmp_path, 2).save(2, {})
    assert checkpoint_of(tmp_path) == tmp_path / "checkpoint-000000002.pt"
    save_checkpoint({}, tmp_path / "best.pt")
    assert checkpoint_of(tmp_path) == tmp_path / "best.pt"
    assert checkpoint_of(tmp_path / "checkpoint-000000001.pt").name == "checkpoint-000000001.pt"


def test_runs_of_the_checkout_load_with_all_that_they_trained() -> None:
    """Among them those whose agreement of views kept running covariances, which are not looked at any more."""
    for name in ("pjepa-mini-3", "pjepa-mini-4"):
        objective, config = load_objective(PRETRAINED / name)
        assert config.name == name
        assert all(bool(weight.isfinite().all()) for weight in objective.parameters())


def test_a_copy_without_the_runs_of_the_checkout_names_what_it_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.loop.checkpoint.PRETRAINED", Path("nowhere"))
    with pytest.raises(CheckpointError, match=r"found neither$"):
        checkpoint_of("pjepa-mini-4")


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"did you mean .*training/pretrained/pjepa-mini-4"):
        checkpoint_of("pjepa-mini-4")
    with pytest.raises(CheckpointError, match=r"found neither$"):
        checkpoint_of(tmp_path)
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match=r"broken\.pt: not a readable checkpoint"):
        read_checkpoint(broken)
    torch.save({"weights": 1}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="no 'format' in it"):
        read_checkpoint(tmp_path / "other.pt")
    torch.save({"format": 99}, tmp_path / "newer.pt")
    with pytest.raises(CheckpointError, match="checkpoint format 99"):
        read_checkpoint(tmp_path / "newer.pt")


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    """Anywhere in the file: what loads is what was saved."""
    path = tmp_path / "a.pt"
    save_checkpoint({"weights": torch.arange(3000.0), "random": random_state(), "step": 3}, path)
    whole, saved = path.read_bytes(), read_checkpoint(path)
    rng = np.random.default_rng(0)
    noticed = 0
    for position in rng.integers(len(whole), size=300):
        content = bytearray(whole)
        content[position] ^= 1 << rng.integers(8)
        path.write_bytes(content)
        try:
            again = read_checkpoint(path)
        except CheckpointError:
            noticed += 1
            continue
        assert torch.equal(again["weights"], saved["weights"])
        assert again["random"]["python"] == saved["random"]["python"]
        assert again["step"] == 3
    assert noticed > 250


def test_missing_and_mistyped_fields_are_named(tmp_path: Path) -> None:
    for content, said in (
        ({"step": 3, "objective": {}}, "has no 'config'; it holds weights"),
        ({"config": "none", "objective": {}}, "config is of type str, expected dict"),
    ):
        save_checkpoint(content, tmp_path / "a.pt")
        with pytest.raises(CheckpointError, match=said):
            load_objective(tmp_path / "a.pt")


def test_a_disk_that_takes_no_more_is_one_message(tmp_path: Path) -> None:
    save_checkpoint({"step": 1}, tmp_path / "a.pt")
    code = f"""
import resource, signal, torch
from pathlib import Path
from jepa_coffea.errors import StorageError
from training.loop.checkpoint import save_checkpoint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 10000))
try:
    save_checkpoint({{"step": 2, "x": torch.zeros(100_000)}}, Path({str(tmp_path / "a.pt")!r}))
except StorageError as error:
    print(error)
"""
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert "a.pt cannot be written: it is larger than files may be here" in said.stdout, said.stderr
    assert read_checkpoint(tmp_path / "a.pt")["step"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def test_code_in_a_checkpoint_does_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"format": 1, "evil": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        read_checkpoint(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


def test_weights_that_do_not_fit_are_named() -> None:
    weights = nn.Linear(3, 2).state_dict()
    with pytest.raises(CheckpointError, match=r"weight is \(2, 3\), expected \(2, 4\)"):
        restore(nn.Linear(4, 2), weights, "a.pt")
    with pytest.raises(CheckpointError, match=r"another architecture: no 0\.weight in it; no 0\.bias in it; weight is"):
        restore(nn.Sequential(nn.Linear(3, 2)), weights, "a.pt")


def test_differences_name_the_leaf() -> None:
    assert _differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, "x") == [
        "x.a.c is 2 in the checkpoint and 3 here"
    ]


def test_an_encoder_outlives_its_objective(pretrained: Path, tmp_path: Path) -> None:
    """What else an objective has, and which options it knows, may change from one version to the next."""
    content = read_checkpoint(checkpoint_of(pretrained))
    kept = {name: value for name, value in content["objective"].items() if name.startswith("target.")}
    content["objective"] = kept | {"forgotten.weight": torch.zeros(3)}
    content["config"]["objective"] |= {"forgotten": 0.5}
    save_checkpoint(content, tmp_path / "a.pt")
    encoder, config = load_encoder(tmp_path / "a.pt")
    expected, _ = load_objective(pretrained)
    assert isinstance(encoder, Encoder)
    for name, weight in expected.exported().state_dict().items():
        assert torch.equal(encoder.state_dict()[name], weight)
    assert encoder.scale == expected.exported().scale
    dropped = dropped_by(config.objective, config.encoder)
    assert isinstance(expected, PJEPA)
    assert dropped == (expected.drop.scales, expected.drop.optional_fields)
    assert not encoder.training
    content["objective"] = {name: value for name, value in kept.items() if "embedding" not in name}
    save_checkpoint(content, tmp_path / "b.pt")
    with pytest.raises(CheckpointError, match="another architecture: no embedding"):
        load_encoder(tmp_path / "b.pt")
