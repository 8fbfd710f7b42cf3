"""Fields that are dropped at random in training, which events may then lack."""

import pytest
import torch

from tests.training.batches import random_jets
from training.models.encoder import Encoder, EncoderConfig
from training.models.preprocess import DISPLACEMENT, IDENTITY
from training.objectives import build_objective
from training.objectives.base import ObjectiveError
from training.objectives.dropout import DropoutConfig, FieldDropout, dropped
from training.objectives.supervised import Supervised

TINY = EncoderConfig(embed_dims=(16,), pair_dims=(8,), heads=2, blocks=1, class_blocks=1)


def test_whole_groups_of_whole_jets() -> None:
    drop = FieldDropout(DropoutConfig(drop_identity=0.5, drop_displacement=0.25), Encoder(TINY))
    assert drop.optional_fields == (*IDENTITY, *DISPLACEMENT)
    particles = random_jets(4).particles
    result = drop(particles, torch.tensor([[True, True], [False, True], [True, False], [False, False]]))
    assert torch.equal(result[..., :4], particles[..., :4])
    for jet, zero in enumerate(([], IDENTITY, DISPLACEMENT, (*IDENTITY, *DISPLACEMENT))):
        for place, field in enumerate(TINY.fields[4:], 4):
            wanted = torch.zeros(32) if field in zero else particles[jet, :, place]
            assert torch.equal(result[jet, :, place], wanted)


def test_as_often_as_asked() -> None:
    drop = FieldDropout(DropoutConfig(drop_displacement=0.25), Encoder(TINY))
    kept = drop.kept(torch.rand(20_000, 2, generator=torch.Generator().manual_seed(0)))
    assert kept[:, 0].all()
    assert float(kept[:, 1].float().mean()) == pytest.approx(0.75, abs=0.01)


def test_encoder_without_such_fields() -> None:
    encoder = Encoder(TINY.model_copy(update={"fields": TINY.fields[:10]}))
    with pytest.raises(ObjectiveError, match=r"drop_displacement: 0.5, but the encoder's fields have no d0"):
        FieldDropout(DropoutConfig(drop_displacement=0.5), encoder)


def test_a_classifier_drops_in_training_alone() -> None:
    objective = build_objective("supervised", TINY, {"drop_displacement": 0.5}, class_names=("a", "b"))
    assert isinstance(objective, Supervised)
    assert objective.drop.optional_fields == DISPLACEMENT
    batch = random_jets(64)
    losses = {float(objective.train()(batch)["loss"].detach()) for _ in range(3)}
    assert len(losses) == 3
    assert len({float(objective.eval()(batch)["loss"].detach()) for _ in range(3)}) == 1


def test_scales_that_an_encoder_is_trained_for() -> None:
    either = TINY.model_copy(update={"scale_input": True})
    for config in (None, DropoutConfig()):
        assert dropped(config, TINY) == (("blind",), ())
        assert dropped(config, TINY.model_copy(update={"scale_to_jet_pt": False})) == (("seen",), ())
    for share, scales in ((0, ("seen",)), (0.5, ("blind", "seen")), (1, ("blind",))):
        config = DropoutConfig(drop_scale=share, drop_identity=0.1)
        assert dropped(config, either) == (scales, IDENTITY)
        encoder = Encoder(either)
        assert FieldDropout(config, encoder).scales == scales
        assert encoder.scale == scales[0]


def test_a_classifier_sees_the_scale_unless_told_otherwise() -> None:
    either, batch = TINY.model_copy(update={"scale_input": True}), random_jets(64)
    harder = type(batch)(particles=batch.particles, mask=batch.mask, jets=2 * batch.jets, labels=batch.labels)
    objective = build_objective("supervised", either, {}, class_names=("a", "b")).eval()
    assert objective.exported().scale == "seen"
    assert float(objective(batch)["loss"].detach()) != float(objective(harder)["loss"].detach())
    both = build_objective("supervised", either, {"drop_scale": 0.5}, class_names=("a", "b")).train()
    assert len({float(both(batch)["loss"].detach()) for _ in range(3)}) == 3
