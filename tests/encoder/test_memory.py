"""Memory follows the budget of the micro-batches, not the chunk, and goes back after a call."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

START = """
import numpy as np
from pathlib import Path
from jepa_coffea.encoder import OnnxEncoder, engine
from jepa_coffea.encoder.batching import Budget
from tests.encoder.tiny import random_jets
def megabytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1000
def jets(many, most):
    rng = np.random.default_rng(0)
    return random_jets(rng, rng.integers(most // 2, most + 1, many))
"""

CHUNKS = """
encoder = OnnxEncoder("jepa_coffea/models/pjepa-mini.onnx", provider="cpu")
small, large = jets(150, 64), jets(1500, 64)
encoder(*small)
first = megabytes("VmHWM")
encoder(*large)
print(megabytes("VmHWM") - first)
"""

SHRINKAGE = """
import sys
engine.BUDGETS["cpu"] = Budget(10**6, 10**9, 1)
encoder = OnnxEncoder(sys.argv[1], provider="cpu")
many = jets(1000, 128)
shrinking = engine.Binding.shrinking
engine.Binding.shrinking = None
encoder(*many)
kept = megabytes("RssAnon")
engine.Binding.shrinking = shrinking
encoder(*many)
print(kept - megabytes("RssAnon"))
"""


def run(script: str, *words: str) -> float:
    """The number that the script prints."""
    command = [sys.executable, "-c", START + script, *words]
    return float(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of a process is read as Linux shows it")
class TestMemory:
    def test_ten_times_the_jets_need_no_more(self) -> None:
        assert run(CHUNKS) < 20  # MB; pairs of all jets at once would be a hundred

    def test_the_arena_gives_back_what_a_call_needed(self, tmp_path: Path) -> None:
        from tests.encoder.tiny import write_tiny

        assert run(SHRINKAGE, str(write_tiny(tmp_path / "a.onnx"))) > 20
