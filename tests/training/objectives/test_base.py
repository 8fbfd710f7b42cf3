"""A new objective is one file: what registers itself is found, built and told what it may not have."""

import re
from pathlib import Path

import pytest
import torch
from pydantic import BaseModel, ConfigDict, ValidationError

import training.objectives
from training.data.batch import Batch
from training.models.encoder import Encoder, EncoderConfig
from training.models.subjets import SubjetConfig
from training.models.synthetic import synthetic_jets
from training.objectives import OBJECTIVES, build_objective, dropped_by, register
from training.objectives.base import Objective, ObjectiveError

TINY = EncoderConfig(embed_dims=(16,), pair_dims=(8,), heads=2, blocks=1, class_blocks=1)


class NormConfig(BaseModel):
    model_config = ConfigDict(extra="forbid")
    wanted: float = 1.0


class Norm(Objective):
    """Embeddings of one length."""

    def __init__(self, encoder: Encoder, config: NormConfig, *, seed: int = 0) -> None:
        super().__init__()
        self.encoder, self.config, self.seed = encoder, config, seed

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, torch.Tensor]:
        jet = self.encoder(batch.particles, batch.mask, batch.jets).jet
        return {"loss": (jet.norm(dim=1) - self.config.wanted).square().mean()}

    def exported(self) -> Encoder:
        return self.encoder

    def flops(self, batch: Batch) -> float:
        return 1.0


def test_files_of_the_folder_register_themselves() -> None:
    folder = Path(training.objectives.__file__).parent
    named = {
        name for path in folder.glob("*.py") for name in re.findall(r'^@register\("(\w+)"', path.read_text(), re.M)
    }
    assert named == set(OBJECTIVES) >= {"pjepa", "jjepa", "supervised"}


def test_a_class_that_registers_itself_is_an_objective(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OBJECTIVES, "norm", Norm)  # and it is forgotten after the test
    register("norm", NormConfig)(Norm)
    objective = build_objective("norm", TINY, {"wanted": 3.0}, class_names=("a", "b"), seed=7)
    assert isinstance(objective, Norm)
    assert (objective.config.wanted, objective.seed) == (3.0, 7)
    particles, mask, jets = synthetic_jets([3, 8, 1])
    loss = objective(Batch(particles=particles, mask=mask, jets=jets))["loss"]
    length = objective.encoder(particles, mask, jets).jet.norm(dim=1)
    torch.testing.assert_close(loss, ((length - 3) ** 2).mean())
    assert dropped_by({"name": "norm", "wanted": 3.0}, TINY) == dropped_by({"name": "none"}, TINY)
    with pytest.raises(ValidationError, match="longing"):
        build_objective("norm", TINY, {"longing": 1})
    with pytest.raises(ObjectiveError, match=r"expected an encoder of particles, got one of subjets; set encoder"):
        build_objective("norm", SubjetConfig(dim=16, heads=2, blocks=2), {})


def test_an_unknown_name_says_what_was_meant() -> None:
    with pytest.raises(ObjectiveError, match=r"unknown 'p-jepa'; did you mean 'pjepa'\?"):
        build_objective("p-jepa", TINY, {})
    with pytest.raises(ObjectiveError, match=r"known are jetclr, jjepa, mpm, pjepa, supervised"):
        build_objective("zzz", TINY, {})
