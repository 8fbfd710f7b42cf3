"""The losses of both JEPAs against their definitions: jet by jet, without padding, each formula written out."""

import math

import pytest
import torch
from torch import Tensor

from tests.training.objectives.test_jjepa import jjepa
from tests.training.objectives.test_pjepa import TINY, batch, pjepa
from training.data.batch import Batch
from training.models.synthetic import synthetic_jets
from training.objectives.observables import jet_observables

KINDS = {(0, -1): 0, (0, 1): 1, (1, 0): 2, (2, 0): 3, (3, -1): 4, (3, 1): 5, (4, -1): 6, (4, 1): 7}
"""Flag that is set and charge of a particle to its class."""


def normed(x: Tensor) -> Tensor:
    """Each row to mean 0 and variance 1."""
    centred = x - x.mean(1, keepdim=True)
    return centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()


def standardised(rows: Tensor) -> Tensor:
    """Each column over the rows that are numbers; after one batch these are all there is to standardise by."""
    columns = []
    for column in rows.T:
        known = column[column.isfinite()]
        columns.append((column - known.mean()) / known.std(correction=0).clamp(min=1e-3))
    return torch.stack(columns, 1)


def smooth_l1(error: Tensor) -> Tensor:
    return torch.where(error.abs() < 1, error.square() / 2, error.abs() - 0.5)


def spread(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Variance hinge and covariance term."""
    covariance = torch.cov(rows.T, correction=0)
    off = covariance - torch.diag(covariance.diag())
    return (1 - (covariance.diag() + 1e-4).sqrt()).relu().mean(), off.square().sum() / len(covariance)


@torch.no_grad()
@pytest.mark.parametrize("views", [1, 2])
def test_pjepa(views: int) -> None:
    jets = batch()
    weights = {"observables": 1.0, "agreement": float(views == 2)}
    objective = pjepa(weights=weights, last_blocks=2, views=views)
    # A target of its own, so that it cannot be taken for the student.
    for parameter in objective.target.parameters():
        parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    drawn = objective.draw(jets)
    masks = drawn.split
    objective.seen = 0
    got = objective(jets)

    wanted, predicted, logits, kinds, student_jets, target_jets, tokens = [], [], [], [], [], [], []
    for row, count in enumerate(drawn.mask.sum(1).tolist()):
        seen = masks.context[row][masks.context_mask[row]]
        hidden = masks.target[row][masks.target_mask[row]]
        assert sorted([*seen.tolist(), *hidden.tolist()]) == list(range(count))
        assert len(hidden) == 0 if count == 1 else 1 <= len(hidden) <= max(1, round(0.5 * count))
        particles = drawn.particles[row : row + 1]
        axis = particles[:, seen, :4].sum(1)  # all that the student knows of the jet
        student = objective.encoder(particles[:, seen], torch.ones(1, len(seen), dtype=torch.bool), axis)
        student_jets.append(student.jet)
        tokens.append(student.tokens[0])
        if row >= len(jets):
            continue
        whole = jets.particles[row : row + 1, :count], torch.ones(1, count, dtype=torch.bool), jets.jets[row : row + 1]
        target = objective.target(*whole, 2)
        target_jets.append(target.jet)
        if not len(hidden):
            continue
        every = torch.ones(1, len(hidden), dtype=torch.bool)
        hints = objective.encoder.preprocess(particles[:, hidden], every, axis).features[..., :7]
        states = objective.predictor(student.tokens, student.mask, hints, every)
        wanted.append(target.tokens[0, hidden])
        predicted.append(objective.predictor.embedding(states)[0])
        logits.append(objective.identity(states)[0])
        kinds += [KINDS[int(p[5:10].argmax()), int(p[4])] for p in particles[0, hidden]]

    error = torch.cat(predicted) - standardised(normed(torch.cat(wanted)))
    torch.testing.assert_close(got["particle"], smooth_l1(error).mean(), rtol=1e-3, atol=1e-5)
    error = objective.jet_predictor(torch.cat(student_jets[:16])) - standardised(normed(torch.cat(target_jets)))
    torch.testing.assert_close(got["jet"], smooth_l1(error).mean(), rtol=1e-3, atol=1e-5)
    likely = torch.cat(logits).exp()[torch.arange(len(kinds)), kinds] / torch.cat(logits).exp().sum(1)
    torch.testing.assert_close(got["identity"], -likely.log().mean(), rtol=1e-4, atol=1e-5)
    fields = TINY.fields
    observed = jet_observables(jets.particles, jets.mask, jets.jets, jets.observables, objective.stored, fields)
    observed = standardised(observed).clamp(-5, 5).repeat(views, 1)
    error = objective.observable_predictor(torch.cat(student_jets)) - observed
    known = error.isfinite()
    torch.testing.assert_close(got["observables"], smooth_l1(error[known]).mean(), rtol=1e-3, atol=1e-5)
    of_jets, of_tokens = spread(normed(torch.cat(student_jets))), spread(normed(torch.cat(tokens)))
    for name, a, b in zip(("variance", "covariance"), of_jets, of_tokens, strict=True):
        torch.testing.assert_close(got[name], (a + b) / 2, rtol=1e-3, atol=1e-5)
    if views == 2:
        one, two = (objective.agreement.projector(torch.cat(half)) for half in (student_jets[:16], student_jets[16:]))
        hinge, squares = spread(torch.cat([one, two]))
        agreement = (one - two).square().mean() + hinge + squares / 25
        torch.testing.assert_close(got["agreement"], agreement, rtol=1e-3, atol=1e-5)


@torch.no_grad()
def test_jjepa() -> None:
    particles, mask, axes = synthetic_jets([30, 12, 1, 21, 7], seed=4, subjets=True)
    objective = jjepa(variance=1.0)
    encoder, target = objective.encoder, objective.target
    for parameter in target.parameters():
        parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    subjets = encoder.group(particles, mask, axes)
    masks = objective.draw(subjets.real)
    objective.seen = 0
    got = objective(Batch(particles=particles, mask=mask, jets=axes))

    wanted, predicted, tokens = [], [], []
    for j in range(len(mask)):

        def encoded(model: torch.nn.Module, which: list[int], j: int = j) -> Tensor:
            """Tokens of some subjets of jet j, each subjet embedded on its own."""
            alone = []
            for s in which:
                size = int(subjets.mask[j, s].sum())
                features = subjets.features[j, s, :size]
                alone.append(model.embed(features[None, None], torch.ones(1, 1, size, dtype=torch.bool))[0])
            every = torch.ones(1, len(which), dtype=torch.bool)
            return model.contextualise(torch.cat(alone)[None], every).tokens

        seen = masks.context[j][masks.context_mask[j]].tolist()
        hidden = masks.target[j][masks.target_mask[j]].tolist()
        real = subjets.real[j].nonzero().flatten().tolist()
        assert sorted(seen + hidden) == real
        assert len(hidden) == (0 if len(real) == 1 else max(1, round(0.3 * len(real))))
        student = encoded(encoder, seen)
        tokens.append(student[0])
        if not hidden:
            continue
        hints = []
        for s in hidden:
            px, py, pz = particles[j, mask[j] & (particles[j, :, -1] == s), :3].sum(0).tolist()
            eta, phi = math.asinh(pz / math.hypot(px, py)), math.atan2(py, px)
            hints.append([math.sin(eta), math.cos(eta), math.sin(phi), math.cos(phi)])
        every = torch.ones(1, len(hidden), dtype=torch.bool)
        states = objective.predictor(
            student, torch.ones(1, len(seen), dtype=torch.bool), torch.tensor(hints)[None], every
        )
        predicted.append(objective.predictor.embedding(states)[0])
        whole = encoded(target, real)[0]
        wanted.append(whole[[real.index(s) for s in hidden]])

    error = torch.cat(predicted) - standardised(normed(torch.cat(wanted)))
    torch.testing.assert_close(got["subjet"], error.square().mean(), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(got["variance"], spread(normed(torch.cat(tokens)))[0], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(got["loss"], got["subjet"] + got["variance"], rtol=1e-6, atol=0)
