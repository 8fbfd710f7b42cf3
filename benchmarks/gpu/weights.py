"""A checkpoint without the state of the optimiser: a third of the size, enough to export, probe and fine-tune from.

    python -m benchmarks.gpu.weights runs/a/checkpoint-000010000.pt weights.pt

``--encoder`` keeps only the encoder that would be exported, ``--half`` writes its numbers in half precision.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from training.loop.checkpoint import exported_part

KEPT = ("format", "step", "config", "objective")


def keep_weights(checkpoint: Path, output: Path, *, encoder: bool = False, half: bool = False) -> None:
    """Write what a checkpoint holds of the model; the result resumes no training.

    Parameters
    ----------
    checkpoint
        Of a run of training/.
    output
        File to write.
    encoder
        Keep only the encoder that would be exported.
    half
        Write floating-point numbers in half precision.
    """
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    weights = content["objective"]
    if encoder:
        part = exported_part(weights)
        weights = {name: value for name, value in weights.items() if name.startswith(part)}
    if half:
        weights = {
            name: value.half() if torch.is_tensor(value) and value.is_floating_point() else value
            for name, value in weights.items()
        }
    torch.save({name: content[name] for name in KEPT} | {"objective": weights}, output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--encoder", action="store_true", help="only the encoder")
    parser.add_argument("--half", action="store_true", help="in half precision")
    args = parser.parse_args()
    keep_weights(args.checkpoint, args.output, encoder=args.encoder, half=args.half)
