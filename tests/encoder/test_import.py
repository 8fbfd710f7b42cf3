"""The encoder room runs where there is only numpy, onnx, ONNX Runtime and pydantic."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"awkward", "coffea", "dask", "uproot", "hist", "vector", "torch", "fastjet", "yaml"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
import numpy as np
from jepa_coffea import read_card
from jepa_coffea.encoder import OnnxEncoder
from tests.encoder.tiny import random_jets, write_tiny
import pathlib
path = write_tiny(pathlib.Path(sys.argv[1]))
assert read_card(path).embedding_dim == 8
out = OnnxEncoder(path, provider="cpu")(*random_jets(np.random.default_rng(0), np.arange(5)))
assert out["embedding"].shape == (5, 8)
"""


def test_runs_without_the_rest(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path / "a.onnx")], cwd=root, check=True, timeout=60)
