"""An exported J-JEPA encoder in JEPAEmbedder: events to embeddings, beside clustering and encoding jet by jet."""

from pathlib import Path

import awkward as ak
import fastjet
import numpy as np
import torch
import uproot

from jepa_coffea import JEPAEmbedder
from jepa_coffea.constituents import constituents_of, jets_of
from jepa_coffea.constituents.record import FIELDS, SUBJET
from training.exporting.onnx_file import export_encoder, provenance
from training.models.subjets import SubjetConfig, SubjetEncoder

TINY = SubjetConfig(dim=16, heads=2, blocks=1, max_constituents=8)


def subjets(particles: np.ndarray) -> np.ndarray:
    """Index of the Cambridge/Aachen R = 0.2 subjet of each particle, in descending pT."""
    momenta = [fastjet.PseudoJet(*map(float, p[:4])) for p in particles]
    for number, momentum in enumerate(momenta):
        momentum.set_user_index(number)
    sequence = fastjet._swig.ClusterSequence(momenta, fastjet.JetDefinition(fastjet.cambridge_algorithm, 0.2))
    index = np.empty(len(particles), np.float32)
    for rank, subjet in enumerate(fastjet.sorted_by_pt(sequence.inclusive_jets())):
        index[[constituent.user_index() for constituent in subjet.constituents()]] = rank
    return index


def test_events_to_embeddings(jetclass: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = SubjetEncoder(TINY).eval()
    card = export_encoder(
        encoder,
        tmp_path / "jjepa.onnx",
        name="jjepa",
        objective="jjepa",
        training_data="none",
        provenance=provenance({}, 0),
    )
    assert card.fields == (*FIELDS, SUBJET)
    events = uproot.open(jetclass.replace("*", "HToBB_000"))["tree"].arrays(entry_stop=12)
    found = JEPAEmbedder(tmp_path / "jjepa.onnx", provider="cpu").columns(events)["embedding"]
    axes = jets_of(events)
    for jet, particles in enumerate(constituents_of(events, fields=FIELDS)):
        rows = np.stack([ak.to_numpy(particles[name]) for name in FIELDS], 1)
        rows = np.concatenate([rows, subjets(rows)[:, None]], 1)
        axis = torch.tensor([[axes[name][jet] for name in ("px", "py", "pz", "energy")]])
        with torch.no_grad():
            expected = encoder(torch.from_numpy(rows)[None], torch.ones(1, len(rows), dtype=torch.bool), axis).jet[0]
        np.testing.assert_allclose(ak.to_numpy(found[jet]), expected.numpy(), atol=1e-4)
