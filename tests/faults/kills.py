"""A run that is killed at any moment, again and again, and resumed: the same output, every row once."""

from __future__ import annotations

import multiprocessing
import random
import shutil
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from jepa_coffea import JEPAEmbedder
from jepa_coffea.processing.run import run
from processors.embed import EmbedProcessor
from tests.encoder.tiny import write_tiny
from tests.processors.compare import assert_same
from tests.processors.synthetic import write_events

FRESH = multiprocessing.get_context("forkserver")
"""A process with all imported and nothing opened, which every try forks: an import takes longer than a run."""
FRESH.set_forkserver_preload([__name__])


def embed(folder: Path) -> dict[str, object]:
    """The run: 12 chunks of 5 events."""
    processor = EmbedProcessor(JEPAEmbedder(folder / "model.onnx"), folder / "out")
    given = {"/a[1]/b": [str(folder / "events.root")]}
    return run(processor, given, chunksize=5, checkpoints=folder / "kept", progress=False)


def killed(folder: Path, tries: int, seed: int = 1) -> Counter[str]:
    """Result to how often: ``same`` after a kill and another run, ``silent`` for a difference, ``raw`` for an error.

    Kills fall anywhere between the first chunk and the time that a run took, as it was before on this machine.
    """
    draw = random.Random(seed)
    write_tiny(folder / "model.onnx", classes=("QCD", "top"))
    write_events(folder / "events.root", 60)
    expected = embed(folder)
    rows = pq.read_table(folder / "out").num_rows
    begin = time.monotonic()
    shutil.rmtree(folder / "out")
    shutil.rmtree(folder / "kept")
    embed(folder)
    seconds = time.monotonic() - begin
    found: Counter[str] = Counter(same=0, silent=0, raw=0)
    for _ in range(tries):
        for name in ("out", "kept"):
            shutil.rmtree(folder / name, ignore_errors=True)
        process = FRESH.Process(target=embed, args=(folder,))
        process.start()
        time.sleep(draw.uniform(0, seconds))
        process.kill()
        process.join()
        found[_resumed(folder, expected, rows)] += 1
    return found


def _resumed(folder: Path, expected: dict[str, object], rows: int) -> str:
    try:
        output = embed(folder)
        assert_same(output, expected)
        assert pq.read_table(folder / "out").num_rows == rows
    except AssertionError:
        return "silent"
    except Exception:  # noqa: BLE001  that it is any is the finding
        return "raw"
    return "same"
