"""The loop on an objective of a few weights: what it writes, when it stops, and that nothing is lost in between."""

import math
import os
import signal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from jepa_coffea.errors import BadFileError
from tests.training.batches import random_jets
from training.config import RunConfig, check
from training.data.batch import Batch
from training.loop.batches import InMemory
from training.loop.checkpoint import CheckpointError, Checkpoints, checkpoint_of, read_checkpoint
from training.loop.distributed import Ranks
from training.loop.loop import Outcome, train
from training.loop.metrics_log import read_metrics
from training.loop.state import Extras, TrainingError, Validation
from training.models.encoder import Encoder, EncoderConfig
from training.objectives.base import Objective

ALONE = Ranks(0, 1, torch.device("cpu"))
ENCODER = {"embed_dims": [8], "pair_dims": [], "heads": 2, "blocks": 1, "class_blocks": 1}


class Regression(Objective):
    """Regress the jet's energy through dropout, with an EMA copy as target; draws from every random generator."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.net = nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.5), nn.GELU(), nn.Linear(16, 1))
        self.target = nn.Linear(4, 16).requires_grad_(False)
        self.poison_at = math.inf
        self.looked = 0

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        noise = float(np.random.normal())  # noqa: NPY002  the loop must restore this generator too
        loss = ((self.net(batch.jets)[:, 0] - batch.jets[:, 3] + 0.1 * noise) ** 2).mean()
        if progress >= self.poison_at:
            loss = loss * float("nan")
        return {"loss": loss, "noise": torch.tensor(noise)}

    def after_step(self, progress: float) -> dict[str, float]:
        with torch.no_grad():
            self.target.weight.lerp_(self.net[0].weight, 0.1)
        return {"ema": 0.9 + 0.1 * progress}

    def monitors(self, batch: Batch) -> dict[str, float]:
        assert not self.training
        self.looked += 1
        return {"rankme": float(torch.rand(1)) + 5}

    def exported(self) -> Encoder:
        return Encoder(EncoderConfig.model_validate(ENCODER))

    def flops(self, batch: Batch) -> float:
        return 6.0 * len(batch) * 5 * 16


def config(**changes: object) -> RunConfig:
    content = {
        "objective": {"name": "supervised"},
        "encoder": ENCODER,
        "data": {"files": "none"},
        "steps": 20,
        "precision": "fp32",
        "log_every": 1,
        "monitor_every": 5,
        "checkpoint_every": 4,
        "optimiser": {"lr": 0.01},
    }
    return check(content | changes, "test")


def loader(batch_jets: int = 4) -> InMemory:
    return InMemory(random_jets(18, 16), batch_jets, seed=5)


def run(folder: Path, objective: Objective | None = None, **options: object) -> Outcome:
    folder.mkdir(exist_ok=True)
    settings = options.pop("config", None) or config()
    quiet = Console(quiet=True)
    return train(objective or Regression(), loader(), settings, folder, ALONE, console=quiet, **options)  # type: ignore[arg-type]


def losses(folder: Path) -> dict[int, float]:
    return {line["step"]: line["loss"] for line in read_metrics(folder) if "loss" in line}


def test_metrics_log_has_what_is_promised(tmp_path: Path) -> None:
    assert run(tmp_path / "a") == Outcome(20, None)
    lines = read_metrics(tmp_path / "a")
    assert [line["step"] for line in lines] == list(range(1, 21))
    promised = {
        "loss",
        "noise",
        "lr",
        "weight_decay",
        "ema",
        "grad_norm",
        "jets_per_s",
        "data_wait",
        "mfu",
        "jets",
        "minutes",
    }
    assert promised <= set(lines[0])
    assert [line["step"] for line in lines if "rankme" in line] == [5, 10, 15, 20]
    assert any((tmp_path / "a" / "tensorboard").iterdir())


def test_checkpoints_are_kept_to_the_limit(tmp_path: Path) -> None:
    run(tmp_path / "a", config=config(keep_checkpoints=2))
    assert [path.name for path in Checkpoints(tmp_path / "a", 2).all()] == [
        "checkpoint-000000016.pt",
        "checkpoint-000000020.pt",
    ]
    assert checkpoint_of(tmp_path / "a").name == "checkpoint-000000020.pt"


def test_resumed_run_repeats_every_loss(tmp_path: Path) -> None:
    settings = config(keep_checkpoints=9)
    run(tmp_path / "a", config=settings)
    straight = losses(tmp_path / "a")
    assert len(straight) == 20
    for at in (4, 12):
        run(tmp_path / "a", config=settings, resume=tmp_path / "a" / f"checkpoint-{at:09d}.pt")
        assert losses(tmp_path / "a") == straight


def test_averages_survive_a_checkpoint_between_two_logs(tmp_path: Path) -> None:
    settings = config(log_every=5, keep_checkpoints=9)
    run(tmp_path / "a", config=settings)
    before = losses(tmp_path / "a")
    run(tmp_path / "a", config=settings, resume=tmp_path / "a" / "checkpoint-000000008.pt")
    assert losses(tmp_path / "a") == before
    assert list(before) == [5, 10, 15, 20]


def test_signal_saves_and_leaves_at_once(tmp_path: Path) -> None:
    class Signalled(Regression):
        def after_step(self, progress: float) -> dict[str, float]:
            if progress == 0.3:
                os.kill(os.getpid(), signal.SIGUSR1)
            return super().after_step(progress)

    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    run(straight)
    assert run(stopped, Signalled()) == Outcome(7, "SIGUSR1")
    assert checkpoint_of(stopped).name == "checkpoint-000000007.pt"
    run(stopped, resume=checkpoint_of(stopped))
    assert losses(stopped) == losses(straight)


def test_looking_does_not_change_the_training(tmp_path: Path) -> None:
    run(tmp_path / "a")
    run(tmp_path / "b", config=config(monitor_every=1))
    assert losses(tmp_path / "a") == losses(tmp_path / "b")


def test_accumulating_four_quarters_is_one_step(tmp_path: Path) -> None:
    class Plain(Regression):
        def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
            loss = (self.target.weight.sum() + self.net[3](self.net[0](batch.jets)) - batch.jets[:, 3:]).square().mean()
            return {"loss": loss}

    jets, weights = random_jets(16, 16), []
    for name, batch_jets, accumulate in (("whole", 16, 1), ("quarters", 4, 4)):
        settings, model = config(accumulate=accumulate, steps=5), Plain()
        (tmp_path / name).mkdir()
        batches = InMemory(jets, batch_jets, seed=1)
        train(model, batches, settings, tmp_path / name, ALONE, console=Console(quiet=True))
        weights.append(torch.cat([p.flatten() for p in model.parameters()]))
    assert torch.allclose(*weights, rtol=1e-4, atol=1e-6)


def test_time_limit_ends_run_and_schedule(tmp_path: Path) -> None:
    settings = config(steps=10**9, optimiser={"lr": 1.0, "lr_final_fraction": 0.0, "warmup": 0.0})
    outcome = run(tmp_path / "a", config=settings, extras=Extras(max_minutes=0.01))
    lines = read_metrics(tmp_path / "a")
    assert outcome.interrupted is None
    assert lines[-1]["step"] == outcome.step
    assert lines[-1]["lr"] < 0.1 < lines[0]["lr"]
    assert read_checkpoint(checkpoint_of(tmp_path / "a"))["elapsed"] >= 0.6


def test_a_run_that_time_ended_goes_on_for_longer(tmp_path: Path) -> None:
    settings = config(steps=10**9, log_every=3, optimiser={"lr": 1.0, "lr_final_fraction": 0.0, "warmup": 0.0})
    first = run(tmp_path / "a", config=settings, extras=Extras(max_minutes=0.01))
    resume = checkpoint_of(tmp_path / "a")
    second = run(tmp_path / "a", config=settings, extras=Extras(max_minutes=0.02), resume=resume)
    assert second.step > first.step
    lines = read_metrics(tmp_path / "a")
    assert all(a["minutes"] <= b["minutes"] and a["step"] < b["step"] for a, b in pairwise(lines))
    rates = {line["step"]: line["lr"] for line in lines if "lr" in line}
    again = [rate for step, rate in rates.items() if step > first.step]
    assert rates[first.step] < 0.1
    # Half of the new length is over: the rate goes on from there, and to the end.
    assert 0.3 < again[0] < 0.7
    assert again[-1] < 0.1


def test_early_stopping_keeps_the_best(tmp_path: Path) -> None:
    curve = iter([3.0, 2.0, 1.0, 1.5, 1.2, 0.1])
    validation = Validation(measure=lambda objective: {"val_loss": next(curve)}, every=2, patience=2)
    assert run(tmp_path / "a", extras=Extras(validation=validation)).step == 10
    assert checkpoint_of(tmp_path / "a").name == "best.pt"
    assert read_checkpoint(tmp_path / "a" / "best.pt")["step"] == 6


def test_a_run_that_early_stopping_ended_stays_ended(tmp_path: Path) -> None:
    def stopping(*curve: float) -> Extras:
        left = iter(curve)
        return Extras(validation=Validation(measure=lambda _: {"val_loss": next(left)}, every=2, patience=2))

    assert run(tmp_path / "a", extras=stopping(1.0, 2.0, 3.0)).step == 6
    newest = sorted((tmp_path / "a").glob("checkpoint-*.pt"))[-1]
    assert run(tmp_path / "a", extras=stopping(0.1), resume=newest) == Outcome(6, None)
    assert read_checkpoint(tmp_path / "a" / "best.pt")["step"] == 2


def test_collapse_warns_or_stops(tmp_path: Path) -> None:
    class Collapsed(Regression):
        def monitors(self, batch: Batch) -> dict[str, float]:
            return {"rankme": 1.01}

    assert run(tmp_path / "a", Collapsed()).step == 20
    with pytest.raises(TrainingError, match=r"stopped at step 5: RankMe is 1\.01"):
        run(tmp_path / "b", Collapsed(), extras=Extras(stop_on_collapse=True))
    assert read_checkpoint(checkpoint_of(tmp_path / "b"))["step"] == 5


def test_a_nan_never_reaches_a_checkpoint(tmp_path: Path) -> None:
    objective = Regression()
    objective.poison_at = 0.29
    with pytest.raises(TrainingError, match="not finite at step 10"):
        run(tmp_path / "a", objective, config=config(log_every=10, checkpoint_every=5))
    weights = read_checkpoint(checkpoint_of(tmp_path / "a"))
    assert weights["step"] == 5
    assert all(torch.isfinite(value).all() for value in weights["objective"].values())


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "a")
    other = config(encoder=ENCODER | {"blocks": 3})
    with pytest.raises(CheckpointError, match=r"another architecture: encoder\.blocks is 1 in the checkpoint and 3"):
        run(tmp_path / "a", config=other, resume=checkpoint_of(tmp_path / "a"))


def test_a_damaged_metrics_log_is_named(tmp_path: Path) -> None:
    run(tmp_path / "a")
    log = tmp_path / "a" / "metrics.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join([*lines[:3], lines[3][:20] + "\n", *lines[4:], '{"step": 21, "lo']))
    with pytest.raises(BadFileError, match=r"metrics\.jsonl: line 4 is damaged; remove the line"):
        run(tmp_path / "a", resume=checkpoint_of(tmp_path / "a"))
    log.write_text("".join([*lines[:3], *lines[4:], '{"step": 21, "lo']))
    assert [record["step"] for record in read_metrics(tmp_path / "a")] == [1, 2, 3, *range(5, 21)]
