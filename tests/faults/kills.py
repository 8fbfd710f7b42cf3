"""A run that is killed at any moment, again and again, and resumed: the same output, every row once."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
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

ROOT = Path(__file__).parents[2]

SCRIPT = """
import sys
from pathlib import Path
from tests.faults.kills import embed
print("begins", flush=True)
embed(Path(sys.argv[1]))
"""


def embed(folder: Path) -> dict[str, object]:
    """The run: 40 chunks of 5 events."""
    processor = EmbedProcessor(JEPAEmbedder(folder / "model.onnx"), folder / "out")
    given = {"/a[1]/b": [str(folder / "events.root")]}
    return run(processor, given, chunksize=5, checkpoints=folder / "kept", progress=False)


def killed(folder: Path, tries: int, seed: int = 1) -> Counter[str]:
    """Result to how often: ``same`` after a kill and another run, ``silent`` for a difference."""
    draw = random.Random(seed)
    write_tiny(folder / "model.onnx", classes=("QCD", "top"))
    write_events(folder / "events.root", 200)
    expected = embed(folder)
    rows = pq.read_table(folder / "out").num_rows
    found: Counter[str] = Counter(same=0, silent=0, raw=0)
    for _ in range(tries):
        for name in ("out", "kept"):
            shutil.rmtree(folder / name)
        words = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(folder)]
        with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(draw.uniform(0, 4))
            process.kill()
        try:
            output = embed(folder)
            assert_same(output, expected)
            assert pq.read_table(folder / "out").num_rows == rows
        except AssertionError:
            found["silent"] += 1
        except Exception:  # noqa: BLE001  that it is any is the finding
            found["raw"] += 1
        else:
            found["same"] += 1
    return found
