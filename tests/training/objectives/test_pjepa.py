"""P-JEPA: what is trained, what moves the target, what each part of the loss is."""

import pytest
import torch
from pydantic import ValidationError

from training.data.batch import Batch
from training.models.encoder import Encoded, Encoder, EncoderConfig
from training.models.preprocess import DISPLACEMENT, FIELDS, IDENTITY, KINEMATICS
from training.models.synthetic import synthetic_jets
from training.objectives import build_objective
from training.objectives.base import ObjectiveError, spread
from training.objectives.identity import identity_loss
from training.objectives.pjepa import PJEPA, Weights
from training.objectives.predictor import normalise

TINY = EncoderConfig(embed_dims=(16,), pair_dims=(8,), heads=2, blocks=3, class_blocks=1)
STORED = ("tau1", "tau2", "softdrop_mass")
SMALL = {"predictor": {"dim": 12, "heads": 2, "blocks": 1}}


def batch(jets: int = 16, seed: int = 0) -> Batch:
    counts = torch.randint(1, 17, (jets,), generator=torch.Generator().manual_seed(seed)).tolist()
    particles, mask, axis = synthetic_jets(counts, seed=seed, width=16)
    observables = torch.rand(jets, 3, generator=torch.Generator().manual_seed(seed))
    observables[0] = torch.nan
    return Batch(particles=particles, mask=mask, jets=axis, observables=observables)


def pjepa(encoder: EncoderConfig = TINY, **options: object) -> PJEPA:
    torch.manual_seed(0)
    objective = build_objective("pjepa", encoder, SMALL | options, observable_names=STORED)
    assert isinstance(objective, PJEPA)
    return objective


def test_every_trained_parameter_gets_a_finite_gradient() -> None:
    scaled = TINY.model_copy(update={"scale_input": True, "pooled": True})
    weights = {"observables": 1.0, "agreement": 1.0}
    objective = pjepa(scaled, weights=weights, views=2, drop_identity=0.5, drop_displacement=0.5)
    losses = objective(batch())
    assert set(losses) == {"loss", *Weights.model_fields}
    losses["loss"].backward()
    for name, parameter in objective.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
        else:
            assert name.startswith("target."), name


def test_agreement_alone_does_not_collapse() -> None:
    """With a spread measured over the last batches RankMe was below 3 and the spread below 0.3 after these steps."""
    objective = pjepa(weights=dict.fromkeys(Weights.model_fields, 0.0) | {"agreement": 1.0}, views=2).train()
    optimiser = torch.optim.AdamW([p for p in objective.parameters() if p.requires_grad], lr=1e-3)
    for step in range(120):
        optimiser.zero_grad()
        objective(batch(64, seed=step))["loss"].backward()
        optimiser.step()
    found = spread(objective.encoder, batch(256, seed=1000))
    assert float(found["rankme"]) > 3.5
    assert float(found["std"]) > 0.4


def test_slices_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for whole in (True, False):
        monkeypatch.setattr("training.models.slices.TOKENS", 40)
        scaled = TINY.model_copy(update={"scale_input": True, "pooled": True})
        weights = {"observables": 1.0, "agreement": 1.0}
        objective = pjepa(scaled, weights=weights, views=2, drop_identity=0.5, predicted=0.4)
        objective.compiled = whole  # batches stay whole then
        losses = objective(batch())
        losses["loss"].backward()
        grads = {name: p.grad for name, p in objective.named_parameters() if p.grad is not None}
        found.append((losses, grads, dict(objective.named_buffers())))
    for mine, theirs in zip(*found, strict=True):
        assert mine.keys() == theirs.keys()
        for name in mine:
            scale = float(theirs[name].detach().abs().max()) + 1e-6
            torch.testing.assert_close(
                mine[name], theirs[name], rtol=1e-4, atol=1e-5 * scale + 1e-7, msg=lambda m, n=name: f"{n}: {m}"
            )


def test_loss_is_the_weighted_sum() -> None:
    weights = {"particle": 0.7, "jet": 0.3, "agreement": 0.2, "observables": 2.0}
    weights |= {"identity": 0.5, "variance": 1.5, "covariance": 0.1}
    losses = pjepa(weights=weights, views=2)(batch())
    expected = sum(weights[name] * losses[name] for name in weights)
    torch.testing.assert_close(losses["loss"], expected)


def test_observables_give_way_to_the_other_losses() -> None:
    weights = {"particle": 1.0, "jet": 0.0, "observables": 2.0, "identity": 0.0, "variance": 0.0, "covariance": 0.0}
    for progress, weight in ((0.0, 2.0), (0.25, 1.6), (1.0, 0.4)):
        losses = pjepa(weights=weights, observables_final=0.4)(batch(), progress)
        torch.testing.assert_close(losses["loss"], losses["particle"] + weight * losses["observables"])


def test_learns() -> None:
    objective = pjepa(weights={"observables": 1.0})
    optimiser = torch.optim.Adam([p for p in objective.parameters() if p.requires_grad], 3e-3)
    history = []
    for step in range(40):
        losses = objective(batch(seed=step % 4))
        optimiser.zero_grad()
        losses["loss"].backward()
        optimiser.step()
        objective.after_step(step / 40)
        history.append({name: value.item() for name, value in losses.items()})
    for name in ("particle", "jet", "observables", "loss"):
        late = sum(losses[name] for losses in history[-4:])
        assert late < 0.9 * sum(losses[name] for losses in history[:4]), name


def test_masks_follow_the_checkpoint() -> None:
    first, second = pjepa(), pjepa()
    data = batch()
    first(data)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.draw(data).split.context, second.draw(data).split.context)
    assert not torch.equal(first.draw(data).split.context, first.draw(data).split.context)
    first.eval()
    assert torch.equal(first.draw(data).split.context, first.draw(data).split.context)


def test_observables_only_computes_no_target() -> None:
    weights = {"particle": 0, "jet": 0, "identity": 0, "variance": 0, "covariance": 0, "observables": 1}
    objective = pjepa(weights=weights)
    objective.target.forward = None  # type: ignore[assignment]  # calling it would fail
    losses = objective(batch())
    assert set(losses) == {"loss", "observables"}
    assert not any("predictor." in name for name, _ in objective.named_parameters() if "observable" not in name)
    everything = pjepa(weights={"observables": 1})
    assert objective.flops(batch()) < 0.8 * everything.flops(batch())


def test_a_student_knows_of_the_jet_what_it_sees() -> None:
    """Other whole jets, the same visible particles: the same embeddings."""
    objective = pjepa(
        TINY.model_copy(update={"scale_input": True}), augmentations={"rotate": False, "smear": 0.0}
    ).eval()
    jets = batch()
    views = objective.draw(jets)
    rows = torch.arange(len(jets))
    expected = objective.look(views, rows, jets.mask, len(jets)).jet
    hidden = views.split.target.clamp(max=15)
    changed = views.particles.scatter(1, hidden.unsqueeze(-1).expand(-1, -1, 14), 50.0)
    changed = torch.where(views.split.target_mask.any(1)[:, None, None], changed, views.particles)
    found = objective.look(views._replace(particles=changed), rows, jets.mask, len(jets)).jet
    torch.testing.assert_close(found, expected)


def test_views_of_a_jet_show_the_scale_together() -> None:
    objective = pjepa(TINY.model_copy(update={"scale_input": True}), views=2, drop_scale=0.5)
    shown = objective.draw(batch(200)).shown
    assert torch.equal(shown[:200], shown[200:])
    assert 60 < int(shown[:200].sum()) < 140


def test_contiguous_masks_are_closer_together() -> None:
    def size(contiguous: int) -> float:
        objective = pjepa(contiguous=contiguous)
        particles, mask, jets = synthetic_jets([16] * 64)
        masks = objective.draw(Batch(particles=particles, mask=mask, jets=jets)).split
        p = particles.gather(1, masks.target.unsqueeze(-1).expand(-1, -1, particles.shape[-1]))
        eta = torch.asinh(p[..., 2] / p[..., :2].norm(dim=-1))
        phi = torch.atan2(p[..., 1], p[..., 0]) - torch.atan2(jets[:, 1], jets[:, 0]).unsqueeze(1)
        phi = torch.remainder(phi + torch.pi, 2 * torch.pi)
        return float(sum(q[m].std() for q, m in zip([*eta, *phi], [*masks.target_mask] * 2, strict=True)))

    assert size(contiguous=1) < 0.8 * size(contiguous=0)
    assert size(contiguous=1) < 0.9 * size(contiguous=3)


def test_all_predicted_views_share_one_pass_of_the_target() -> None:
    options = {"views": 3, "predicted": 0.5, "weights": {"agreement": 1.0}}
    one, two = pjepa(**options), pjepa(predicted_views=2, **options)
    calls: list[int] = []
    for objective in (one, two):
        objective.target.register_forward_hook(lambda *found: calls.append(len(found[2].jet)))
    data = batch()
    losses = [objective(data) for objective in (one, two)]
    assert calls == [8, 8]
    views = two.draw(data)
    seen = two.look_at_all(views, data.mask, 8)
    real = seen.hidden_mask
    assert set((seen.view[real] // 16).tolist()) == {0, 1}
    assert set((seen.view[real] % 16).tolist()) <= set(range(8))
    # Each place is the particle that is hidden there, up to what the view changed of it.
    hidden, whole = seen.hidden[real], data.particles.flatten(0, 1)[seen.place[real]]
    assert torch.equal(hidden[:, 4:], whole[:, 4:])
    assert not torch.equal(losses[0]["particle"], losses[1]["particle"])
    assert torch.equal(losses[0]["agreement"], losses[1]["agreement"])


def test_what_own_features_say_is_taken_out_of_the_targets() -> None:
    """Targets that are a function of a particle's own features leave nothing to predict but noise."""
    found = {}
    for taken_out in (False, True):
        objective = pjepa(own_features_out=taken_out, last_blocks=1)
        encoder = objective.target
        # Tokens are functions of the particle's features alone.

        def alone(p: torch.Tensor, m: torch.Tensor, j: torch.Tensor, *_: object, of: Encoder = encoder) -> Encoded:
            return Encoded(torch.zeros(len(p), 16), of.embedding(of.preprocess(p, m, j).features), m)

        encoder.forward = alone  # type: ignore[method-assign]
        for step in range(20):
            objective(batch(64, seed=step))
        data = batch(400, seed=99)
        seen = objective.look_at_all(objective.draw(data), data.mask, 400)
        _, tokens = objective._wanted(data, torch.zeros(400, dtype=torch.bool))
        raw = normalise(tokens[seen.place])[seen.hidden_mask]
        own = encoder.preprocess(data.particles, data.mask, data.jets).features.flatten(0, 1)[seen.place]
        left = raw - objective.own_features.predict(own[seen.hidden_mask]) if taken_out else raw
        found[taken_out] = float(left.var(0).sum())
    assert found[True] < 0.35 * found[False]


def test_the_monitors_tell_how_much_context_the_targets_need() -> None:
    """A target of own features only: these explain it, hints do in part; a predictor that is right explains all."""
    objective = pjepa(weights={"agreement": 0.0}, predicted=0.25)
    for step in range(5):
        objective(batch(64, seed=step))
    objective.eval()
    values = objective.monitors(batch(600, seed=50))
    names = ("r2_hints", "r2_hints_jet", "r2_predictor", "r2_own")
    assert all(values[name] < 1 for name in names)
    assert values["r2_own"] > values["r2_hints"] + 0.05
    data = batch(600, seed=50)
    wanted: list[torch.Tensor] = []
    taken = objective._token_targets

    def kept(*arguments: object) -> torch.Tensor:
        wanted.append(taken(*arguments))  # type: ignore[arg-type]
        return wanted[-1]

    objective._token_targets = kept  # type: ignore[method-assign]
    right = objective.monitors(data)
    objective.predictor.embedding.forward = lambda _: wanted[-1][seen_mask]  # type: ignore[method-assign]
    seen_mask = objective.look_at_all(objective.draw(data), data.mask, 600).hidden_mask
    assert objective.monitors(data)["r2_predictor"] == pytest.approx(1)
    assert right["r2_predictor"] == values["r2_predictor"] < 0.9
    assert "r2_hints" not in pjepa(weights={"particle": 0}).eval().monitors(data)


def test_dropped_fields_are_optional_and_zero() -> None:
    objective = pjepa(drop_identity=0.5)
    assert objective.drop.optional_fields == IDENTITY
    particles, kept = batch().particles, torch.tensor([[True, True], [False, True]])
    result = objective.drop(particles[:2], kept)
    assert torch.equal(result[0], particles[0])
    assert torch.equal(result[1, :, :4], particles[1, :, :4])
    assert (result[1, :, 4:10] == 0).all()
    assert torch.equal(result[1, :, 10:], particles[1, :, 10:])
    assert pjepa(drop_displacement=0.1).drop.optional_fields == DISPLACEMENT


def test_identity_loss_knows_all_kinds() -> None:
    particles = torch.zeros(1, 9, len(FIELDS))
    for i, (flag, charge) in enumerate([(0, -1), (0, 1), (1, 0), (2, 0), (3, -1), (3, 1), (4, -1), (4, 1)]):
        particles[0, i, 5 + flag], particles[0, i, 4] = 1, charge
    right = torch.full((1, 9, 8), -30.0)
    right[0, torch.arange(8), torch.arange(8)] = 30.0
    assert identity_loss(right, particles, torch.ones(1, 9, dtype=torch.bool)) < 1e-6
    assert identity_loss(right.roll(1, dims=2), particles, torch.ones(1, 9, dtype=torch.bool)) > 30


def test_kinematics_only_encoder() -> None:
    kinematic = TINY.model_copy(update={"fields": KINEMATICS})
    with pytest.raises(ObjectiveError, match="identity"):
        pjepa(kinematic)
    losses = pjepa(kinematic, weights={"identity": 0})(batch())
    assert losses["loss"].isfinite()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"hidden": (0.0, 0.5)}, "hidden"),
        ({"hidden": (0.6, 0.5)}, "hidden"),
        ({"momentum": (0.9, 1.1)}, "momentum"),
        ({"weights": {"jet": 0}}, "jet"),
        ({"weights": {"agreement": 1}}, "views"),
        ({"predicted": 0}, "predicted"),
        ({"predicted_views": 2}, "predicted_views"),
        ({"contiguous": -1}, "contiguous"),
        ({"weights": {"observables": 0}, "observables_final": 0.5}, "observables_final"),
        ({"drop_scale": 1.5}, "drop_scale"),
        ({"weights": {"pid": 1}}, "pid"),
        ({"predictor": {"dim": 10, "heads": 3}}, "heads"),
        ({"masks": 3}, "masks"),
    ],
)
def test_impossible_options(options: dict[str, object], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        pjepa(**options)


def test_more_last_blocks_than_there_are() -> None:
    with pytest.raises(ObjectiveError, match="last_blocks"):
        pjepa(last_blocks=4)
