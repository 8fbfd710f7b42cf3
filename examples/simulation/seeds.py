"""Seeds of shards: from one seed, the same whichever process makes the shard and however many there are."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

PYTHIA_SEED_MAX = 900_000_000


@dataclass(frozen=True, kw_only=True)
class ShardSeed:
    """Independent seeds of the generator and of the detector."""

    pythia: int
    detector: np.random.SeedSequence


def shard_seed(seed: int, sample: str, shard: int) -> ShardSeed:
    """Seeds of one shard of a sample; samples of different names share no random numbers.

    Parameters
    ----------
    seed
        Of the run.
    sample
        Name of the sample.
    shard
        Number of the shard.

    Returns
    -------
    ShardSeed
    """
    generator, detector = np.random.SeedSequence([seed, zlib.crc32(sample.encode()), shard]).spawn(2)
    pythia = 1 + int(generator.generate_state(1, np.uint64)[0] % PYTHIA_SEED_MAX)
    return ShardSeed(pythia=pythia, detector=detector)
