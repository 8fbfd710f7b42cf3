import math

import pytest
import torch
from torch import nn

from training.config import OptimiserConfig
from training.loop.schedules import (
    Rate,
    cosine,
    decays,
    layer_rates,
    make_optimiser,
    progress_of,
    set_rates,
    warmup_cosine,
)
from training.models.encoder import Encoder, EncoderConfig


def test_cosine_goes_half_way_in_the_middle() -> None:
    assert cosine(0, 2, 1) == 2
    assert cosine(0.5, 2, 1) == pytest.approx(1.5)
    assert cosine(0.25, 2, 1) == pytest.approx(1 + 0.5 * (1 + math.sqrt(0.5)))
    assert cosine(1, 2, 1) == cosine(7, 2, 1) == 1


def test_warmup_then_cosine() -> None:
    def rate(progress: float) -> float:
        return warmup_cosine(progress, warmup=0.2, start=0.1, peak=1.0, final=0.0)

    assert rate(0) == pytest.approx(0.1)
    assert rate(0.1) == pytest.approx(0.55)
    assert rate(0.2) == pytest.approx(1.0)
    assert rate(0.6) == pytest.approx(0.5)
    assert rate(1) == pytest.approx(0.0)
    assert warmup_cosine(0, warmup=0, start=0.1, peak=1.0, final=0.0) == 1.0


def test_constant_until_the_decay() -> None:
    def rate(progress: float) -> float:
        return warmup_cosine(progress, warmup=0.1, start=0.0, peak=1.0, final=0.2, decay=0.4)

    assert rate(0.05) == pytest.approx(0.5)
    assert rate(0.1) == rate(0.4) == rate(0.6) == 1.0
    assert rate(0.8) == pytest.approx(0.6)
    assert rate(1) == pytest.approx(0.2)


def test_progress_is_the_further_of_steps_and_time() -> None:
    assert progress_of(25, 100) == 0.25
    assert progress_of(25, 100, elapsed=30, limit=60) == 0.5
    assert progress_of(75, 100, elapsed=30, limit=60) == 0.75


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 1, 4))
        self.layer = nn.Linear(4, 3)
        self.norm = nn.LayerNorm(3)
        self.head = nn.Linear(3, 2)
        self.target = nn.Linear(4, 3).requires_grad_(False)


def test_only_matrices_decay() -> None:
    assert [name for name, p in Small().named_parameters() if decays(name, p)] == [
        "layer.weight",
        "head.weight",
        "target.weight",
    ]


def test_groups_and_rates() -> None:
    module = Small()
    config = OptimiserConfig(lr=1.0, warmup=0.0, lr_final_fraction=0.0, weight_decay=0.2, weight_decay_final=0.4)
    optimiser = make_optimiser(module, config, {f"layer.{name}": Rate(0.02) for name in ("weight", "bias")})
    of = {id(p): group for group in optimiser.param_groups for p in group["params"]}
    assert len(of) == sum(p.requires_grad for p in module.parameters())
    assert set_rates(optimiser, config, 0.5) == pytest.approx({"lr": 0.5, "weight_decay": 0.3})
    for parameter, lr, decay in (
        (module.layer.weight, 0.01, 0.3),
        (module.layer.bias, 0.01, 0.0),
        (module.head.weight, 0.5, 0.3),
        (module.norm.weight, 0.5, 0.0),
        (module.token, 0.5, 0.0),
    ):
        assert of[id(parameter)]["lr"] == pytest.approx(lr)
        assert of[id(parameter)]["weight_decay"] == pytest.approx(decay)


def test_nothing_to_train_is_an_error() -> None:
    with pytest.raises(ValueError, match="no parameter to train"):
        make_optimiser(nn.Linear(2, 2).requires_grad_(False), OptimiserConfig())


def test_a_late_group_joins_along_a_warmup() -> None:
    module = Small()
    config = OptimiserConfig(lr=1.0, warmup=0.1, decay=0.01, weight_decay=0.2)
    late = {f"layer.{name}": Rate(0.5, start=0.4) for name in ("weight", "bias")}
    optimiser = make_optimiser(module, config, late)
    for progress, expected in ((0.2, 0.0), (0.4, 0.0), (0.45, 0.25), (0.5, 0.5), (0.9, 0.5)):
        set_rates(optimiser, config, progress)
        rates = {group["start"]: group["lr"] for group in optimiser.param_groups}
        assert rates == pytest.approx({0.0: 1.0, 0.4: expected})


def test_blocks_near_the_particles_learn_slower() -> None:
    encoder = Encoder(EncoderConfig(embed_dims=(8,), pair_dims=(4,), heads=2, blocks=3, class_blocks=1, pooled=True))
    rates = layer_rates(encoder, 0.1, 0.5, 0.25, "encoder.")
    assert set(rates) == {f"encoder.{name}" for name, _ in encoder.named_parameters()}
    assert {rate.start for rate in rates.values()} == {0.25}
    for name, expected in (
        ("class_token", 0.1),
        ("pooled_norm.weight", 0.1),
        ("class_blocks.0.q.weight", 0.1),
        ("blocks.2.qkv.weight", 0.05),
        ("blocks.0.qkv.weight", 0.0125),
        ("embedding.layers.0.weight", 0.00625),
        ("pairs.head.weight", 0.00625),
    ):
        assert rates[f"encoder.{name}"].scale == pytest.approx(expected)
