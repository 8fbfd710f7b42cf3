"""Leakage of the dijet mass: the R^2 that was put in, in the card, and only for the file that embedded the events."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LinearRegression

from jepa_coffea import read_card
from jepa_coffea.cli import main as plugin
from jepa_coffea.encoder.card import load_model
from jepa_coffea.errors import ModelError
from jepa_coffea.files import file_hash
from tests.encoder.tiny import write_tiny
from training.export import main


def events(path: Path, model_hash: str, *, signal: float, number: int = 4000, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Embeddings of four numbers a jet, of which the first of both together tell part of the mass."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(number, 8)).astype(np.float32)
    mass = 3000 + 200 * (signal * (X[:, 0] + X[:, 4]) / 2**0.5 + (1 - signal**2) ** 0.5 * rng.normal(size=number))
    vectors = [pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 4) for x in (X[:, :4], X[:, 4:])]
    table = pa.table({"mjj": mass, "jet1_embedding": vectors[0], "jet2_embedding": vectors[1]})
    said = json.dumps({"model_hash": model_hash, "model": "tiny.onnx", "dataset": "qcd"})
    pq.write_table(table.replace_schema_metadata({b"jepa_coffea": said.encode()}), path)
    return X, mass


def test_it_is_measured_and_stands_in_the_card(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    model = write_tiny(tmp_path / "tiny.onnx")
    X, mass = events(tmp_path / "qcd.parquet", file_hash(model), signal=0.6)
    before = read_card(model)
    assert before.mass_leakage is None
    assert main([str(model), "--dijets", str(tmp_path / "*.parquet"), "--output", str(tmp_path / "new.onnx")]) == 0
    assert "R^2 0.3" in capsys.readouterr().out
    card = read_card(tmp_path / "new.onnx")
    found = card.mass_leakage
    assert found is not None
    assert card.model_copy(update={"mass_leakage": None}) == before
    half = slice(None, None, 2)
    expected = LinearRegression().fit(X[half], mass[half]).score(X[1::2], mass[1::2])
    assert found.r2 == pytest.approx(0.36, abs=0.04)
    assert found.r2 == pytest.approx(expected, abs=0.04)
    assert (found.events, found.sample) == (4000, "qcd")
    assert found.mjj == pytest.approx((mass.min(), mass.max()))
    assert plugin(["inspect", str(tmp_path / "new.onnx")]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "leakage of the dijet mass" in text
    assert "4000 events of" in text
    content = (tmp_path / "new.onnx").read_bytes()
    (tmp_path / "new.onnx").write_bytes(content.replace(b'"sample":"qcd"', b'"sample":"top"'))
    with pytest.raises(ModelError, match="damaged"):
        load_model(tmp_path / "new.onnx")


def test_without_leakage_it_is_about_zero(tmp_path: Path) -> None:
    model = write_tiny(tmp_path / "tiny.onnx")
    events(tmp_path / "qcd.parquet", file_hash(model), signal=0)
    assert main([str(model), "--dijets", str(tmp_path / "qcd.parquet"), "--output", str(model)]) == 0
    found = read_card(model).mass_leakage
    assert found is not None
    assert abs(found.r2) < 0.01


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("model", "not with this file"),
        ("few", "30 events"),
        ("text", "expected events"),
        ("run", "in place of the run"),
    ],
)
def test_what_is_not_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str, said: str) -> None:
    model, path = write_tiny(tmp_path / "tiny.onnx"), tmp_path / "qcd.parquet"
    number = 30 if wrong == "few" else 100
    events(path, "another" if wrong == "model" else file_hash(model), signal=0.5, number=number)
    if wrong == "text":
        path.write_text("no parquet")
    run = tmp_path if wrong == "run" else model
    assert main([str(run), "--dijets", str(path), "--output", str(tmp_path / "new.onnx")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "new.onnx").exists()
