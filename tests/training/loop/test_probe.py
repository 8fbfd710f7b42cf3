import numpy as np
import pytest
import torch

from jepa_coffea.errors import BadFileError
from tests.training.batches import two_classes
from training.loop.probe import Probe, embed, linear, scores
from training.models.encoder import Encoder, EncoderConfig

CPU = torch.device("cpu")
SMALL = EncoderConfig(embed_dims=(8, 16), pair_dims=(4,), heads=2, blocks=1, class_blocks=1, max_particles=32)


def test_embed_keeps_the_order() -> None:
    torch.manual_seed(0)
    encoder, batch = Encoder(SMALL), two_classes(30, 0)
    with torch.no_grad():
        expected = encoder(batch.particles, batch.mask, batch.jets).jet
    assert np.allclose(embed(encoder, batch, CPU, batch_jets=7), expected.numpy(), atol=1e-5)
    assert encoder.training


def test_compare_has_encoder_random_and_boosting() -> None:
    torch.manual_seed(1)
    probe = Probe(two_classes(300, 1), two_classes(200, 2), ("multiplicity", "noise"), CPU)
    result = probe.compare(Encoder(SMALL))
    assert result["boosting"]["accuracy"] > 0.9
    for which in ("encoder", "random_encoder"):
        assert set(result[which]) == {"linear", "knn"}
        assert result[which]["linear"]["accuracy"] > 0.8
    assert result["encoder"] != result["random_encoder"]


def test_labels_with_gaps() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    X = np.eye(3)[y] + rng.normal(0, 0.1, (90, 3))
    gapped = np.array([0, 4, 8])[y]
    assert scores(linear(), X, gapped, X, gapped) == scores(linear(), X, y, X, y) == {"accuracy": 1.0, "auc": 1.0}
    with pytest.raises(BadFileError, match=r"classes \[0, 4, 8\].*of \[0, 1, 2\]"):
        scores(linear(), X, gapped, X, y)


def test_same_encoder_same_numbers_and_random_state_untouched() -> None:
    torch.manual_seed(0)
    probe, encoder = Probe(two_classes(100, 1), two_classes(60, 2), (), CPU), Encoder(SMALL)
    before = torch.get_rng_state()
    assert probe.compare(encoder) == probe.compare(encoder)
    assert probe.boosting() is None
    assert torch.equal(before, torch.get_rng_state())
