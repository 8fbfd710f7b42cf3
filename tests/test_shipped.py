"""The encoder that comes with the package: it proves itself, and is the one that the checkout keeps for fine-tuning."""

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import torch
from coffea.nanoevents import NanoAODSchema, NanoEventsFactory

from jepa_coffea import JEPAEmbedder
from jepa_coffea.constituents import constituents_of
from jepa_coffea.encoder.card import read_card
from jepa_coffea.encoder.model_files import shipped
from jepa_coffea.encoder.onnx import OnnxEncoder
from jepa_coffea.encoder.self_test import validate
from jepa_coffea.errors import ModelError
from tests.encoder.tiny import random_jets
from tests.support.event_files import event_files
from training.loop.checkpoint import load_encoder
from training.models.synthetic import synthetic_jets

PRETRAINED = Path(__file__).parents[1] / "training" / "pretrained"


@pytest.mark.parametrize("name", sorted(shipped()))
def test_it_does_what_its_card_says(name: str) -> None:
    encoder = OnnxEncoder(shipped()[name], provider="cpu")
    assert all(agreement.passed for agreement in validate(encoder))
    assert encoder.card.name == name
    assert encoder.card.results


@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_flipped_bit_is_noticed(name: str, tmp_path: Path) -> None:
    content = shipped()[name].read_bytes()
    for place in np.random.default_rng(1).integers(0, len(content), 5):
        changed = bytearray(content)
        changed[place] ^= 1
        (tmp_path / "a.onnx").write_bytes(changed)
        with pytest.raises(ModelError):
            OnnxEncoder(tmp_path / "a.onnx", provider="cpu")


@pytest.mark.parametrize("name", sorted(shipped()))
def test_company_and_threads_change_rounding_only(name: str) -> None:
    rng = np.random.default_rng(0)
    flat, counts, axes = random_jets(rng, rng.integers(0, 80, 120))
    whole = OnnxEncoder(shipped()[name], provider="cpu")(flat, counts, axes)["embedding"]
    assert np.isnan(whole).any(axis=1).tolist() == (counts == 0).tolist()
    order = rng.permutation(len(counts))
    rows = np.split(flat, np.cumsum(counts)[:-1])
    threaded = OnnxEncoder(shipped()[name], provider="cpu", threads=3)
    mixed = threaded(np.concatenate([rows[i] for i in order]), counts[order], axes[order])["embedding"]
    alone = np.concatenate([threaded(rows[i], counts[i : i + 1], axes[i : i + 1])["embedding"] for i in order])
    scale = np.nanmax(np.abs(whole))
    np.testing.assert_allclose(mixed, whole[order], rtol=0, atol=1e-5 * scale)
    np.testing.assert_allclose(alone, whole[order], rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("value", [0.0, -1e3, 1e20, 3e38])
def test_a_jet_of_absurd_numbers_is_its_own_matter(value: float) -> None:
    encoder = OnnxEncoder(shipped()["pjepa-mini"], provider="cpu")
    flat, counts, axes = random_jets(np.random.default_rng(1), np.array([20, 70, 20]))
    before = encoder(flat, counts, axes)["embedding"]
    flat[20:90, :4] = value
    axes[1] *= 1e-3  # 3e38 GeV scaled to it is beyond single precision
    after = encoder(flat, counts, axes)["embedding"]
    np.testing.assert_allclose(after[[0, 2]], before[[0, 2]], rtol=0, atol=1e-5 * np.abs(before).max())
    assert encoder.metrics()["non_finite"] == int(not np.isfinite(after[1]).all())


@pytest.mark.parametrize("name", sorted(shipped()))
def test_the_checkout_has_its_weights(name: str) -> None:
    run = name if (PRETRAINED / name).is_dir() else name.removesuffix("-seen").removesuffix("-tagger")
    encoder, config = load_encoder(PRETRAINED / run)
    if encoder.config.scale_input:
        encoder.scale = read_card(shipped()[name]).scale
    particles, mask, axes = synthetic_jets([3, 40, 64, 17])
    with torch.no_grad():
        expected = encoder.eval()(particles, mask, axes).jet.numpy()
    counts = mask.sum(1).numpy().astype(np.int64)
    here = OnnxEncoder(shipped()[name], provider="cpu")(particles[mask].numpy(), counts, axes.numpy())["embedding"]
    assert np.abs(here - expected).max() < 1e-4 * np.abs(expected).max()
    assert config.name == run


@pytest.mark.parametrize("path", event_files("nano_v15.root"))
@pytest.mark.parametrize("name", sorted(shipped()))
def test_it_works_on_nanoaod(name: str, path: Path) -> None:
    """NanoAOD has no impact parameters; the encoder must have learned to do without."""
    file = {str(path): "Events"}
    events = NanoEventsFactory.from_root(file, schemaclass=NanoAODSchema, mode="virtual").events()
    jets = JEPAEmbedder(name, provider="cpu")(events)
    embedding = ak.to_numpy(ak.flatten(jets.jepa_embedding, axis=1))
    particles = ak.flatten(ak.num(constituents_of(events, fields=["px"]), axis=2))
    assert len(embedding) == ak.sum(ak.num(events.FatJet))
    np.testing.assert_array_equal(np.isfinite(embedding).all(axis=1), particles > 0)
