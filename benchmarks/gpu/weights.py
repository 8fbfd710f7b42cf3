"""A checkpoint without the state of the optimiser: a third of the size, enough to export, probe and fine-tune from.

python -m benchmarks.gpu.weights runs/a/checkpoint-000010000.pt weights.pt
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

KEPT = ("format", "step", "config", "objective")


def keep_weights(checkpoint: Path, output: Path) -> None:
    """Write what a checkpoint holds of the model; the result resumes no training.

    Parameters
    ----------
    checkpoint
        Of a run of training/.
    output
        File to write.
    """
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    torch.save({name: content[name] for name in KEPT}, output)


if __name__ == "__main__":
    keep_weights(Path(sys.argv[1]), Path(sys.argv[2]))
