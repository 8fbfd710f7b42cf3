"""The count against what PyTorch itself counts."""

from torch.utils.flop_counter import FlopCounterMode

from training.models.encoder import Encoder, EncoderConfig
from training.models.flops import encoder_macs
from training.models.synthetic import synthetic_jets


def test_against_the_flop_counter() -> None:
    config = EncoderConfig(embed_dims=(64, 128, 32), pair_dims=(16, 16), heads=4, blocks=3, class_blocks=2)
    encoder = Encoder(config).eval()
    for n in (16, 48):
        with FlopCounterMode(display=False) as counter:
            encoder(*synthetic_jets([n] * 2))
        assert abs(counter.get_total_flops() / (2 * 2 * encoder_macs(config, n)) - 1) < 0.02


def test_share_of_pairs_at_the_size_of_particle_transformer() -> None:
    config = EncoderConfig()
    pairs = encoder_macs(config, 128) - encoder_macs(config.model_copy(update={"pair_dims": ()}), 128)
    # All 128^2 ordered pairs would be 147 M.
    assert 147e6 / 2 < pairs < 147e6 / 2 * 1.02
