"""Compiled regions compute what the modules do, for every padded length."""

import copy

import pytest
import torch

from training.models.compiled import compile_regions
from training.models.encoder import Encoder, EncoderConfig
from training.models.synthetic import synthetic_jets

TINY = EncoderConfig(embed_dims=(16,), pair_dims=(8,), heads=2, blocks=2, class_blocks=1, recompute_pairs=True)


@pytest.mark.filterwarnings("ignore")  # what the compiler itself does
def test_same_values_and_gradients() -> None:
    torch.manual_seed(0)
    plain = Encoder(TINY)
    compiled = copy.deepcopy(plain)
    compile_regions(compiled, backend="aot_eager")
    for counts in ([3, 16, 1], [24, 9, 20]):
        inputs = synthetic_jets(counts)
        results = []
        for encoder in (plain, compiled):
            encoder.zero_grad()
            encoded = encoder(*inputs, last=2)
            (encoded.jet.square().sum() + encoded.tokens[encoded.mask].sum()).backward()
            gradients = [p.grad.clone() for p in encoder.parameters() if p.grad is not None]
            results.append([encoded.jet.detach(), encoded.tokens.detach()[encoded.mask], *gradients])
        assert len(results[0]) == len(results[1]) > 20
        for a, b in zip(*results, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
