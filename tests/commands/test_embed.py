"""``jepa-coffea embed``: from the document to files, the report and the exit status."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from jepa_coffea.cli import main
from jepa_coffea.hunt.config import HuntConfig


def document(folder: Path, **changes: object) -> str:
    path = folder / "hunt.yaml"
    path.write_text(yaml.safe_dump({"embed": changes}))
    return str(path)


def test_embeds(model: Path, fileset: dict, undisturbed: dict, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "model.onnx").write_bytes(model.read_bytes())
    path = document(tmp_path, model="model.onnx", files=fileset, output="out", chunksize=25, weights={"signal": 0.5})
    assert main(["embed", "--quiet", path]) == 0
    rows = pq.read_table(tmp_path / "out")
    assert rows.num_rows == sum(totals["selected"] for totals in undisturbed["bookkeeping"].values())
    shown = capsys.readouterr().out
    assert "2 files, 4 chunks (0 resumed), 100 events" in shown
    assert "cpu" in shown
    # The same document may go on to say what to hunt for.
    whole = yaml.safe_load(Path(path).read_text()) | {"input": {"events": ["out/**/*.parquet"]}, "output": "hunt"}
    assert HuntConfig.model_validate(whole).embed["model"] == "model.onnx"


def test_skipped_files_are_told(model: Path, fileset: dict, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "bad.root").write_bytes(b"bad")
    files = {"qcd": [*fileset["qcd"], "bad.root"]}
    options = {"model": str(model), "files": files, "output": "out"}
    assert main(["embed", "--quiet", document(tmp_path, **options)]) == 2
    assert "1 of 2 files cannot be read" in capsys.readouterr().err
    assert main(["embed", "--quiet", document(tmp_path, **options, skipbadfiles=True)]) == 1
    assert "skipped:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "none.onnx"}, "none.onnx: no such model file"),
        ({"files": {"qcd": ["none*.root"]}}, "embed.files of dataset 'qcd': nothing matches"),
        ({"files": {"qcd": []}}, "embed.files.qcd: Value should have at least 1 item"),
        ({"weights": {"tt": 1.0}}, "embed.weights: no dataset 'tt'; known are qcd, signal"),
        ({"modle": "a"}, "embed.modle: no such key; did you mean 'model'?"),
        ({"selection": {"pt": -1}}, "embed.selection.pt: Input should be greater than or equal to 0"),
        ({"selection": {"ptt": 1}}, "embed.selection.ptt: no such key; did you mean 'pt'?"),
        ({"format": "pfnanno"}, "no layout 'pfnanno'; did you mean 'pfnano'?"),
        ({"cluster": {"kind": "slrum"}}, "embed.cluster.kind: no cluster 'slrum'; did you mean 'slurm'?"),
        ({"cluster": {"kind": "slurm"}}, "embed.cluster.options.jobs: Field required"),
        ({"cluster": {"kind": "local", "options": {"workers": 1}}}, "embed.cluster.options.workers: no such key"),
        ({"cluster": {"kind": "local", "options": {"preload": "evil"}}}, "embed.cluster.options.preload: no such key"),
        ({"cluster": {"kind": "slurm", "options": {"jobs": 1, "prologue": ["rm x; y"]}}}, "a document may say"),
        ({"output": "$NO_SUCH_VARIABLE/out"}, "the environment variable NO_SUCH_VARIABLE is not set"),
    ],
)
def test_refusals(
    model: Path, fileset: dict, tmp_path: Path, capsys: pytest.CaptureFixture, changes: dict, message: str
) -> None:
    path = document(tmp_path, **{"model": str(model), "files": fileset, "output": "out", **changes})
    assert main(["embed", path]) == 2
    assert message in capsys.readouterr().err


def test_a_tree_in_the_name_of_a_file(
    model: Path, fileset: dict, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    file = fileset["qcd"][0]
    path = document(tmp_path, model=str(model), files={"qcd": f"{file}:Events"}, output="out")
    assert main(["embed", path]) == 2
    assert f"{file} is one, and its tree is named apart: treename: Events" in capsys.readouterr().err


def test_checkpoints_that_cannot_be_kept(
    model: Path, fileset: dict, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = document(tmp_path, model=str(model), files=fileset, output="out", checkpoints=fileset["qcd"][0])
    assert main(["embed", "--quiet", path]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("*.parquet"))


def test_documents_without_the_section(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["embed", str(tmp_path / "none.yaml")]) == 2
    (tmp_path / "other.yaml").write_text("hunt: 1")
    assert main(["embed", str(tmp_path / "other.yaml")]) == 2
    assert "has no section 'embed'" in capsys.readouterr().err


def test_a_hunt_that_cannot_be_done_is_refused_before_the_embedding(
    model: Path, fileset: dict, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = Path(document(tmp_path, model=str(model), files=fileset, output="out"))
    hunt = {"input": {"events": ["out/**/*.parquet"]}, "output": "hunt", "efficiencis": [0.1]}
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | hunt))
    assert main(["embed", "--quiet", str(path)]) == 2
    assert "efficiencis" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
