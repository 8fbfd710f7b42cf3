"""One load per file, provider and process: under threads, after forks, until released."""

import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from jepa_coffea.encoder import OnnxEncoder, model_files, session
from jepa_coffea.errors import ModelError
from tests.encoder.tiny import random_jets, tiny_embedding, write_tiny

ROOT = Path(__file__).parents[2]


def test_one_load_under_many_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tiny(tmp_path / "a.onnx", dim=5)
    loads = []
    load = session._load
    monkeypatch.setattr(session, "_load", lambda *arguments: loads.append(1) or load(*arguments))
    flat, counts, axes = random_jets(np.random.default_rng(0), np.arange(1, 40))
    expected = tiny_embedding(flat, counts, axes, dim=5)

    def work(_: int) -> int:
        encoder = OnnxEncoder(path, provider="cpu", threads=2)
        np.testing.assert_allclose(encoder(flat, counts, axes)["embedding"], expected, atol=1e-5)
        return encoder.metrics()["loads"]

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(32))) == 1
    assert len(loads) == 1


def test_same_content_is_the_same_model(tmp_path: Path) -> None:
    first = OnnxEncoder(write_tiny(tmp_path / "a.onnx", dim=6), provider="cpu")
    second = OnnxEncoder(write_tiny(tmp_path / "b.onnx", dim=6), provider="cpu")
    other = OnnxEncoder(write_tiny(tmp_path / "c.onnx", dim=7), provider="cpu")
    assert first.model is second.model
    assert first.model is not other.model


def test_release(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "a.onnx", dim=9)
    first = OnnxEncoder(path, provider="cpu")
    assert session.release(first.digest) == 1
    assert session.release(first.digest) == 0
    again = OnnxEncoder(path, provider="cpu")
    assert again.metrics()["loads"] == 1
    assert again.model is not first.model


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "a.onnx", dim=10)
    digest = model_files.model_hash(path)
    write_tiny(path, dim=11)
    with pytest.raises(ModelError, match=f"expected SHA-256 {digest}, got .*the file changed"):
        OnnxEncoder(path, provider="cpu", digest=digest)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tiny(tmp_path / "a.onnx", dim=17)
    read = session.load_model

    def replaced(place: Path) -> object:
        model = read(place)
        write_tiny(tmp_path / "b.onnx", dim=18).replace(path)
        return model

    monkeypatch.setattr(session, "load_model", replaced)
    with pytest.raises(ModelError, match="the file changed"):
        OnnxEncoder(path, provider="cpu")


def test_a_failed_load_can_be_repeated(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    write_tiny(path, dim=12)
    digest = model_files.model_hash(path)
    path.rename(tmp_path / "b.onnx")
    with pytest.raises(ModelError, match="No such file"):
        OnnxEncoder(path, provider="cpu", digest=digest)
    (tmp_path / "b.onnx").rename(path)
    assert OnnxEncoder(path, provider="cpu", digest=digest).metrics()["loads"] == 1


def test_a_forked_child_loads_its_own(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "a.onnx")
    script = f"""
        import os, sys
        import numpy as np
        from jepa_coffea.encoder import OnnxEncoder, session
        from tests.encoder.tiny import random_jets
        jets = random_jets(np.random.default_rng(0), np.arange(1, 30))
        parent = OnnxEncoder({str(path)!r}, provider="cpu", threads=2)
        expected = parent(*jets)["embedding"]
        session._lock.acquire()  # as if another thread were loading while this one forks
        child = os.fork()
        if child == 0:
            mine = OnnxEncoder({str(path)!r}, provider="cpu", threads=2)
            same = np.array_equal(mine(*jets)["embedding"], expected)
            loaded = mine.metrics()["loads"] == 1 and mine.model is not parent.model
            inherited = np.array_equal(parent(*jets)["embedding"], expected) and parent.model is mine.model
            os._exit(0 if same and loaded and inherited else 1)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0


def test_a_graph_that_cannot_be_captured_names_the_nodes() -> None:
    error = RuntimeError("FAIL : This session cannot use the graph capture feature as requested by the user")
    assert "for Asinh, Atan of this file" in session._not_captured(error, {"MatMul", "Atan", "Asinh"})
    assert "some node" in session._not_captured(error, {"MatMul"})
    assert not session._not_captured(RuntimeError("no memory"), {"Asinh"})
