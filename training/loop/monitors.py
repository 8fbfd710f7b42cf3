"""What a run tells of itself: a JSONL journal, TensorBoard, and the watch against collapse."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from training.loop.distributed import Ranks

JOURNAL = "metrics.jsonl"

LOWEST_RANK, LOWEST_SPREAD = 1.5, 1e-3
"""Below these a representation counts as collapsed."""


class Journal:
    """``metrics.jsonl`` and ``tensorboard/`` of a run folder, one record a call, on disk when the call returns.

    Records of steps from ``step`` on, left by a run that was killed after its last checkpoint, are removed first:
    the run that resumes writes them again.
    """

    def __init__(self, folder: Path, step: int) -> None:
        path = folder / JOURNAL
        kept = [line for line in read_lines(path) if line["step"] <= step] if step else []
        path.write_text("".join(json.dumps(line) + "\n" for line in kept))
        self._file = path.open("a")
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Record ``values`` of ``step``; NaN and infinities become null in the JSONL."""
        line = {name: value if math.isfinite(value) else None for name, value in values.items()}
        self._file.write(json.dumps({"step": step, **line}) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._file.close()
        self._board.close()


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Records of a journal; a last line that a killed run did not finish is left out."""
    if not path.is_file():
        return []
    lines = path.read_text().split("\n")
    return [json.loads(line) for line in lines[:-1] if line]


class Averages:
    """Means of scalars since the last log, kept on the device: adding never waits for the GPU."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Count scalars by name."""
        for name, value in values.items():
            value = value.detach().float()
            self.sums[name] = self.sums[name] + value if name in self.sums else value.clone()
            self.counts[name] = self.counts.get(name, 0) + 1

    def take(self, ranks: Ranks) -> dict[str, float]:
        """Means over calls and processes, and start again; the one place where the loop waits for the device."""
        names = sorted(self.sums)
        means = ranks.mean(torch.stack([self.sums[name] / self.counts[name] for name in names])).tolist()
        self.sums, self.counts = {}, {}
        return dict(zip(names, means, strict=True))

    def finite(self) -> bool:
        """Whether nothing counted since the last log is NaN or infinite; waits for the device."""
        return all(bool(torch.isfinite(value)) for value in self.sums.values())

    def state(self) -> dict[str, Any]:
        """For a checkpoint between two logs."""
        return {"sums": {name: value.cpu() for name, value in self.sums.items()}, "counts": dict(self.counts)}

    def restore(self, state: dict[str, Any], device: torch.device) -> None:
        """Undo to the moment of :meth:`state`."""
        self.sums = {name: value.to(device) for name, value in state["sums"].items()}
        self.counts = dict(state["counts"])


class Stopwatch:
    """Jets a second, and which part of the time went into waiting for data and which into arithmetic."""

    def __init__(self, peak_flops: float) -> None:
        self.peak_flops = peak_flops
        self._reset()

    def _reset(self) -> None:
        self._started = time.perf_counter()
        self.jets, self.flops, self.waited = 0, 0.0, 0.0

    def add(self, *, jets: int, flops: float, waited: float) -> None:
        """Count one batch of this process: ``waited`` seconds for it, ``flops`` operations on it."""
        self.jets += jets
        self.flops += flops
        self.waited += waited

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Within, no time passes."""
        start = time.perf_counter()
        yield
        self._started += time.perf_counter() - start

    def take(self, world_size: int) -> dict[str, float]:
        """Rates since the last call; jets of all processes (they run in step), the rest of this one."""
        seconds = time.perf_counter() - self._started
        rates = {
            "jets_per_s": self.jets * world_size / seconds,
            "data_wait": self.waited / seconds,
            "mfu": self.flops / seconds / self.peak_flops,
        }
        self._reset()
        return rates


def peak_flops(device: torch.device, precision: str) -> float:
    """Floating-point operations a second that ``device`` can do, dense: the datasheet's in bf16, else measured.

    Sources: NVIDIA's datasheets of A100, H100, H200, L40S and B200. For other devices the best of a few large matrix
    products in the run's precision.
    """
    if device.type == "cuda" and precision == "bf16":
        name = torch.cuda.get_device_name(device)
        datasheet = {
            "A100": 312e12,
            "H100 PCIe": 756e12,
            "H100": 989e12,
            "H200": 989e12,
            "L40S": 362e12,
            "B200": 2250e12,
        }
        for part, value in datasheet.items():
            if part in name:
                return value
    size = 4096 if device.type == "cuda" else 512
    a = torch.ones(size, size, device=device, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
    best = 0.0
    for _ in range(5):
        start = time.perf_counter()
        float((a @ a)[0, 0])
        best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best


def collapse_of(values: Mapping[str, float]) -> str | None:
    """Why monitored ``values`` mean that all jets look alike to the encoder; None when they do not.

    A healthy encoder of a few thousand steps has a RankMe (arXiv 2210.02885) of tens and a spread of order one.
    """
    rank, spread = values.get("rankme"), values.get("std")
    if rank is not None and rank < LOWEST_RANK:
        return f"RankMe is {rank:.2f}: the embeddings vary along about one direction"
    if spread is not None and spread < LOWEST_SPREAD:
        return f"the mean standard deviation of an embedding dimension is {spread:.1e}"
    return None
