"""The folder of a hunt: its own, for one hunt at a time; a copy of it stands for itself, and starts no cluster."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from jepa_coffea.cli import main
from jepa_coffea.commands.hunt import hunt
from jepa_coffea.errors import FolderError
from jepa_coffea.files.folders import working_in


@pytest.fixture
def document(tmp_path: Path) -> Path:
    edges = np.geomspace(2000, 5000, 21)
    counts = np.random.default_rng(1).poisson(1e5 * (edges[:-1] / 2000) ** -6)
    (tmp_path / "h.json").write_text(json.dumps({"counts": counts.tolist(), "edges": edges.tolist()}))
    window = {"window": [float(edges[8]), float(edges[11])], "sidebands": [2000.0, 5000.0]}
    content = {
        "input": {"histogram": "h.json"},
        "output": "out",
        "mass": {"windows": [window], "fit_range": [2000, 5000], "bins": edges.tolist()},
        "statistics": {"sqrt_s": 13000, "function": "dijet2", "goodness_toys": 100, "global_toys": 20},
    }
    path = tmp_path / "hunt.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_nothing_of_others_is_touched(document: Path) -> None:
    plots = document.parent / "out" / "plots"
    plots.mkdir(parents=True)
    (plots / "mine.pdf").write_text("mine")
    with pytest.raises(FolderError, match="holds files that are not of a hunt, first 'plots'"):
        hunt(document, progress=False)
    assert [str(path.relative_to(plots.parent)) for path in plots.parent.rglob("*")] == ["plots", "plots/mine.pdf"]


def test_a_mistake_is_said_once(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document.write_text(document.read_text().replace("sqrt_s: 13000", "constraint: poisson"))
    assert main(["hunt", str(document), "--quiet"]) == 2
    assert capsys.readouterr().err.startswith("jepa-coffea hunt: statistics.sqrt_s is not given")


def test_one_hunt_at_a_time(document: Path) -> None:
    with working_in(document.parent / "out", "hunt"), pytest.raises(FolderError, match="is in use by process"):
        hunt(document, progress=False)


def test_a_copy_stands_for_itself(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = hunt(document, progress=False)
    before = {path: path.stat().st_mtime_ns for path in result.output.rglob("*") if path.is_file()}
    copy = Path(shutil.copytree(result.output, document.parent / "copy"))
    config = yaml.safe_load((copy / "config.yaml").read_text())
    # A received folder may name any scheduler: its report connects to none.
    config["cluster"] = {"kind": "scheduler", "options": {"address": "tcp://127.0.0.1:9"}}
    (copy / "config.yaml").write_text(yaml.safe_dump(config))
    (copy / "report.html").unlink()
    assert main(["report", str(copy), "--quiet"]) == (1 if result.reasons else 0)
    assert (copy / "report.html").exists()
    assert {path: path.stat().st_mtime_ns for path in result.output.rglob("*") if path.is_file()} == before
