"""Masked particle modelling: its loss against loops over slots and particles, and what is trained."""

import math

import pytest
import torch
from pydantic import ValidationError

from tests.training.objectives.test_losses import KINDS, smooth_l1, standardised
from tests.training.objectives.test_pjepa import SMALL, TINY, batch
from training.models.encoder import EncoderConfig
from training.models.preprocess import KINEMATICS
from training.models.subjets import SubjetConfig
from training.objectives import build_objective
from training.objectives.base import ObjectiveError
from training.objectives.mpm import MPM
from training.objectives.views import draw_views

SCALED = TINY.model_copy(update={"scale_input": True, "pooled": True})


def mpm(encoder: EncoderConfig = SCALED, **options: object) -> MPM:
    torch.manual_seed(0)
    objective = build_objective("mpm", encoder, SMALL | options)
    assert isinstance(objective, MPM)
    return objective


@torch.no_grad()
def test_the_loss_is_the_chamfer_distance() -> None:
    """Jet by jet, slot by slot, without padding."""
    objective, jets = mpm(identity=0.7), batch()
    views = draw_views(jets, objective.config, objective.drop, objective)
    objective.seen = 0
    got = objective(jets)
    masks, columns = views.split, [*range(7), *range(13, 17)]
    hidden, seen, features = [], [], []
    for row in range(len(jets)):
        index = masks.target[row][masks.target_mask[row]]
        visible = masks.context[row][masks.context_mask[row]]
        axis = views.particles[row, visible, :4].sum(0)[None]
        there = torch.ones(1, len(index), dtype=torch.bool)
        found = objective.encoder.preprocess(views.particles[row, index][None], there, axis).features[0]
        hidden.append(views.particles[row, index])
        seen.append((views.particles[row, visible][None], torch.ones(1, len(visible), dtype=torch.bool), axis))
        features.append(found[:, columns])
    wanted = standardised(torch.cat(features)).clamp(-5, 5).split([len(part) for part in features])
    totals = {"features": 0.0, "identity": 0.0}
    for row, (inputs, truth, particles) in enumerate(zip(seen, wanted, hidden, strict=True)):
        encoded = objective.encoder(*inputs, seen=views.shown[row : row + 1])
        m = len(truth)
        slots = torch.cat([encoded.jet[0].expand(m, -1), objective.slots[:m]], 1)[None]
        states = objective.predictor(encoded.tokens, encoded.mask, slots, torch.ones(1, m, dtype=torch.bool))[0]
        guesses, logits = objective.predictor.embedding(states), objective.identity(states).softmax(1)
        kinds = [KINDS[int(p[5:10].argmax()), int(p[4].sign())] for p in particles]
        features_of = [[float(smooth_l1(g - t).mean()) for t in truth] for g in guesses]
        identity_of = [[-math.log(float(logit[kind])) for kind in kinds] for logit in logits]
        pairs = [(i, j) for i in range(m) for j in range(m)]
        costs = {(i, j): features_of[i][j] + 0.7 * identity_of[i][j] for i, j in pairs}
        nearest = [min((p for p in pairs if p[1] == j), key=costs.__getitem__) for j in range(m)]
        nearest += [min((p for p in pairs if p[0] == i), key=costs.__getitem__) for i in range(m)]
        totals["features"] += sum(features_of[i][j] for i, j in nearest) / 2
        totals["identity"] += sum(identity_of[i][j] for i, j in nearest) / 2
    number = sum(map(len, hidden))
    for name, total in totals.items():
        assert float(got[name]) == pytest.approx(total / number, rel=1e-3)
    torch.testing.assert_close(got["loss"], got["features"] + 0.7 * got["identity"])


def test_learns_and_every_parameter_takes_part() -> None:
    objective = mpm(views=2, drop_displacement=0.3, contiguous=2)
    optimiser = torch.optim.Adam(objective.parameters(), 3e-3)
    history = []
    for step in range(40):
        losses = objective(batch(seed=step % 4))
        optimiser.zero_grad()
        losses["loss"].backward()
        for name, parameter in objective.named_parameters():
            assert (parameter.grad is None) == name.startswith("target."), name
            assert parameter.grad is None or parameter.grad.isfinite().all(), name
        optimiser.step()
        history.append({name: value.item() for name, value in losses.items()})
    for name in ("features", "identity"):
        assert sum(losses[name] for losses in history[-4:]) < 0.9 * sum(losses[name] for losses in history[:4]), name


def test_slices_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for whole in (True, False):
        monkeypatch.setattr("training.models.slices.TOKENS", 40)
        objective = mpm(views=2, drop_identity=0.5)
        objective.compiled = whole  # batches stay whole then
        losses = objective(batch())
        losses["loss"].backward()
        found.append([*losses.values(), *(p.grad for p in objective.parameters() if p.requires_grad)])
    for mine, theirs in zip(*found, strict=True):
        scale = float(theirs.detach().abs().max()) + 1e-6
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5 * scale + 1e-7)


def test_masks_follow_the_checkpoint() -> None:
    first, second, data = mpm(), mpm(), batch()
    first(data)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(data)["loss"], second(data)["loss"])


def test_operations_count_what_is_visible() -> None:
    few, many = (mpm(hidden=share).flops(batch()) for share in ((0.6, 0.7), (0.1, 0.2)))
    assert 0 < few < many
    assert mpm(views=2).flops(batch()) == 2 * mpm().flops(batch())


def test_what_cannot_be_is_refused() -> None:
    kinematic = TINY.model_copy(update={"fields": KINEMATICS})
    with pytest.raises(ObjectiveError, match="identity"):
        mpm(kinematic)
    assert set(mpm(kinematic, identity=0)(batch())) == {"features", "loss"}
    with pytest.raises(ValidationError, match="hidden"):
        mpm(hidden=(0.0, 0.5))
    with pytest.raises(ObjectiveError, match=r"encoder\.kind"):
        build_objective("mpm", SubjetConfig(dim=16, heads=2, blocks=2), {})
