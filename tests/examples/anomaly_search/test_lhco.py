"""Events as those of the LHC Olympics become a table that the comparison reads."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tables

from examples.anomaly_search import lhco
from examples.anomaly_search.features import read_table
from jepa_coffea.cwola.windows import Windows


def write(path: Path, events: int, *, width: int = 2101) -> None:
    """Two back-to-back sprays of 30 particles of about 1.2 TeV each; every third event is signal."""
    rng = np.random.default_rng(0)
    rows = np.zeros((events, width))
    for i in range(events):
        phi = rng.uniform(-np.pi, np.pi)
        pt = rng.exponential(1, (2, 30))
        pt *= 1200 / pt.sum(1, keepdims=True)
        particles = np.zeros((60, 3))
        particles[:, 0] = pt.ravel()
        particles[:, 1] = rng.normal(0, 0.1, 60)
        axis = np.repeat([phi, phi + np.pi], 30) + rng.normal(0, 0.1, 60)
        particles[:, 2] = (axis + np.pi) % (2 * np.pi) - np.pi
        rows[i, : 3 * 60] = particles.ravel()
        rows[i, -1] = i % 3 == 0
    with tables.open_file(str(path), "w") as file:
        file.create_array(file.create_group("/", "df"), "block0_values", rows)


def test_events_are_embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "events.h5", 30)
    words = [str(tmp_path / "events.h5"), "--model", "pjepa-mini", "--output", str(tmp_path / "out"), "--chunk", "20"]
    assert lhco.main(words) == 2  # particles without identity: this encoder never learned to do without
    whole = lhco.OnnxEncoder(lhco.resolve("pjepa-mini"), provider="cpu")
    card = whole.card.model_copy(update={"optional_fields": whole.card.fields[4:]})
    monkeypatch.setattr(whole, "card", card)
    monkeypatch.setattr(lhco, "OnnxEncoder", lambda _: whole)
    assert lhco.main(words) == 0
    rows = pq.read_table(sorted((tmp_path / "out").glob("*.parquet")))
    assert rows.num_rows == 30
    assert rows["truth_signal"].to_numpy().sum() == 10
    assert len(set(rows["event"].to_pylist())) == 30
    mass = rows["mjj"].to_numpy()
    assert (abs(mass - 2400) < 300).all()
    assert np.isfinite(np.stack(rows["jet2_embedding"].to_numpy())).all()
    windows = Windows.single(2300, 2500, sidebands=(2100, 2700), fit_range=(2000, 3000), bins=8)
    sample, columns = read_table([f"{tmp_path}/out/background-*.parquet"], windows, "mjj", "background")
    assert len(sample.mass) == 20
    assert columns.embedding == 128


def test_another_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "events.h5", 2, width=500)
    with pytest.raises(lhco.SearchError, match="expected /df/block0_values with 2101 columns"):
        list(lhco.rows_of(tmp_path / "events.h5", 10))
