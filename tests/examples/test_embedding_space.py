"""The picture of the embedding space is drawn from embedded events of several datasets."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from examples.embedding_space import jets_of, main


def write(folder: Path, dataset: str, centre: float) -> str:
    rng = np.random.default_rng(1)
    embedding = rng.normal(centre, 1, size=(40, 6)).astype(np.float32)
    embedding[3, 2] = np.nan
    table = pa.table(
        {
            "jet1_embedding": pa.FixedSizeListArray.from_arrays(pa.array(embedding.ravel()), 6),
            "jet1_msoftdrop": pa.array(rng.uniform(0, 200, 40).astype(np.float32)),
            "jet1_n_constituents": pa.array(rng.integers(10, 90, 40).astype(np.float32)),
        }
    )
    file = folder / f"dataset={dataset}" / "a.parquet"
    file.parent.mkdir(parents=True)
    pq.write_table(table, file)
    return str(file)


def test_jets_without_an_embedding_are_left_out(tmp_path: Path) -> None:
    rows = jets_of(write(tmp_path, "qcd", 0), "qcd", seed=0)
    assert rows.num_rows == 39
    assert np.isfinite(np.array(rows["jet1_embedding"].to_pylist())).all()


def test_a_picture(tmp_path: Path) -> None:
    write(tmp_path, "qcd", 0)
    write(tmp_path, "wprime", 5)
    main(["--events", f"{tmp_path}/*/*.parquet", "--output", str(tmp_path / "plots" / "space.png")])
    assert matplotlib.image.imread(tmp_path / "plots" / "space.png").std() > 0.05


def test_words_above_the_picture(tmp_path: Path) -> None:
    write(tmp_path, "qcd", 0)
    given = ["--events", f"{tmp_path}/*/*.parquet", "--output"]
    main([*given, str(tmp_path / "plain.png")])
    main([*given, str(tmp_path / "named.png"), "--header", "Simulation", "(13 TeV)"])
    plain, named = (matplotlib.image.imread(tmp_path / f"{name}.png") for name in ("plain", "named"))
    assert named.shape[0] > plain.shape[0]


def test_no_files(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["--events", f"{tmp_path}/*.parquet", "--output", str(tmp_path / "space.png")])
