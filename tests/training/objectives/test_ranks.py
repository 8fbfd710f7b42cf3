"""Statistics of the global batch, and two processes against one."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from training.data.batch import Batch
from training.models.encoder import EncoderConfig
from training.models.subjets import SubjetConfig
from training.models.synthetic import synthetic_jets
from training.objectives import OBJECTIVES, build_objective
from training.objectives.base import Objective
from training.objectives.jjepa import JJEPA
from training.objectives.ranks import RunningMoments, global_mean, moments, spread_of
from training.objectives.views import ViewAgreement

SUBJETS = SubjetConfig(dim=16, heads=2, blocks=2, max_subjets=8, max_constituents=4)
TINY = EncoderConfig(embed_dims=(16,), pair_dims=(8,), heads=2, blocks=2, class_blocks=1)
COUNTS = [3, 16, 1, 8, 12, 5, 16, 2]
STEPS = 3


def objective(name: str) -> Objective:
    torch.manual_seed(0)
    options = {
        "pjepa": {
            "predictor": {"dim": 12, "heads": 2, "blocks": 1},
            "last_blocks": 2,
            "weights": {"observables": 1.0, "agreement": 1.0},
            "views": 2,
            "drop_identity": 0.3,
        },
        "jjepa": {"predictor": {"dim": 12, "heads": 2, "blocks": 1}, "variance": 1.0},
        "supervised": {"head": "mlp"},
        "mpm": {"predictor": {"dim": 12, "heads": 2, "blocks": 1}, "views": 2, "drop_identity": 0.3},
        # Copies that are not changed at random, or two processes would not change them like one.
        "jetclr": {"augmentations": {"rotate": False, "smear": 0.0, "drop": 0.0}, "temperature": 0.5},
    }
    encoder = SUBJETS if name == "jjepa" else TINY
    return build_objective(name, encoder, options[name], class_names=("a", "b", "c"), seed=5)


def train(model: Objective, rank: int, world_size: int) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
    """Losses of a few steps on this rank's slices of the global batches, and the weights after them."""
    wrapped = torch.nn.parallel.DistributedDataParallel(model) if world_size > 1 else model
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    history = []
    for step in range(STEPS):
        particles, mask, jets = synthetic_jets(COUNTS, seed=step, subjets=isinstance(model, JJEPA))
        labels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
        mine = slice(rank, None, world_size)
        losses = wrapped(Batch(particles=particles[mine], mask=mask[mine], jets=jets[mine], labels=labels[mine]))
        optimiser.zero_grad()
        losses["loss"].backward()
        optimiser.step()
        model.after_step(step / STEPS)
        history.append({name: value.detach() for name, value in losses.items()})
    return history, model.state_dict()


def worker(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    for name in OBJECTIVES:
        history, weights = train(objective(name), rank, 2)
        torch.save({"history": history, "weights": weights}, f"{folder}/{name}-{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    mp.spawn(worker, args=(str(folder),), nprocs=2)
    return folder


@pytest.mark.parametrize("name", OBJECTIVES)
def test_two_processes_train_like_one(two_processes: Path, name: str) -> None:
    history, weights = train(objective(name), 0, 1)
    ranks = [torch.load(two_processes / f"{name}-{rank}.pt", weights_only=True) for rank in range(2)]
    for step in range(STEPS):
        for part, value in history[step].items():
            mean = (ranks[0]["history"][step][part] + ranks[1]["history"][step][part]) / 2
            torch.testing.assert_close(mean, value, rtol=1e-4, atol=1e-5, msg=lambda m, p=part: f"{p}: {m}")
    for key, value in weights.items():
        torch.testing.assert_close(
            ranks[0]["weights"][key], value, rtol=1e-3, atol=1e-4, msg=lambda m, k=key: f"{k}: {m}"
        )


def test_moments_are_those_of_numpy() -> None:
    x = torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(0))
    mask = torch.rand(4, 6, generator=torch.Generator().manual_seed(1)) < 0.6
    total, mean, covariance = moments(x, mask)
    rows = x[mask].double().numpy()
    assert total == len(rows)
    np.testing.assert_allclose(mean, rows.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(covariance, np.cov(rows.T, bias=True), rtol=1e-4, atol=1e-5)


def test_global_mean() -> None:
    assert global_mean(torch.tensor([1.0, 2.0, 9.0]), torch.tensor([1.0, 1.0, 0.0])) == 1.5
    assert global_mean(torch.tensor([1.0]), torch.tensor([0.0])) == 0


def test_running_moments_leave_out_what_is_missing() -> None:
    running = RunningMoments(2, momentum=0.5)
    assert torch.equal(running.standardise(torch.tensor([[3.0, 4.0]])), torch.tensor([[3.0, 4.0]]))
    x = torch.tensor([[1.0, torch.nan], [3.0, torch.nan], [100.0, 5.0]])
    running.update(x, torch.tensor([1.0, 1.0, 0.0]))
    mean, deviation = running.deviation()
    assert mean.tolist() == [2.0, 0.0]
    assert deviation.tolist() == [1.0, 1.0]
    running.update(torch.tensor([[6.0, 1.0]]), torch.tensor([1.0]))
    # Batch means 2 and 6 with weights 1/4 and 1/2, both shares decayed alike.
    assert running.deviation()[0].tolist() == pytest.approx([(0.25 * 2 + 0.5 * 6) / 0.75, 1.0])


def test_spread_is_that_of_vicreg_within_one_batch() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, [0.2, 0.7, 3.0], (40, 3)) @ rng.normal(0, 1, (3, 3)) + 5
    covariance = np.cov(x[:30].T, bias=True)
    hinge = np.maximum(0, 1 - np.sqrt(covariance.diagonal() + 1e-4)).mean()
    squares = (covariance**2).sum() / 3 - (covariance.diagonal() ** 2).sum() / 3
    got = spread_of(torch.tensor(x), torch.arange(40) < 30)
    assert [float(value) for value in got] == pytest.approx([hinge, squares], rel=1e-4)


def test_jets_that_come_close_are_pushed_apart_as_strongly_as_others() -> None:
    jets = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
    gradients = []
    for spread in (0.5, 0.05):
        x = (spread * jets).requires_grad_()
        spread_of(x, torch.ones(32))[0].backward()
        gradients.append(x.grad)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0.03, atol=1e-5)


def test_one_embedding_for_all_jets_has_no_spread_however_it_drifts() -> None:
    agreement = ViewAgreement(6).train()
    rng = torch.Generator().manual_seed(0)
    losses = [
        float(agreement(torch.randn(6, generator=rng).expand(2, 16, 6), torch.ones(16, dtype=torch.bool)).detach())
        for _ in range(30)
    ]
    # Views agree, nothing is correlated: the hinge alone, of a standard deviation of sqrt(1e-4).
    assert losses == pytest.approx([0.99] * 30, abs=1e-3)
