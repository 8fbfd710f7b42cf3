"""The chain in miniature, through the commands that the README names: collisions to a p-value."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import uproot
import yaml

ROOT = Path(__file__).parent.parent
JEPA_COFFEA = [sys.executable, "-m", "jepa_coffea.cli"]


def command(*words: str | Path, folder: Path, accepted: tuple[int, ...] = (0,)) -> str:
    """What a command printed; an assertion with all of it when it fails."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [str(word) for word in words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode in accepted, done.stdout + done.stderr
    return done.stdout


def script(name: str) -> list[str]:
    return [sys.executable, str(ROOT / name)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated events, a pretrained encoder with a tagger on it, exported."""
    here = tmp_path_factory.mktemp("chain")
    simulate = [*script("examples/simulate.py"), "--workers", "2", "--mpi", "off"]
    command(
        *simulate, "--process", "qcd", "--pt-hat-min", "250", "--mjj-min", "500", "--mjj-max", "1500",
        "--events", "700", "--output", "events/qcd.root", folder=here,
    )  # fmt: skip
    command(
        *simulate, "--format", "jetclass", "--classes", "QCD,Tbqq", "--jets", "120", "--jets-per-file", "40",
        "--output", "jets", folder=here,
    )  # fmt: skip
    small = ["encoder.embed_dims=[16]", "encoder.pair_dims=[8]", "encoder.heads=2", "encoder.blocks=1",
             "encoder.class_blocks=1", "objective.last_blocks=1", "data.batch_size=32", "steps=4"]  # fmt: skip
    command(
        *script("training/pretrain.py"), "--config", ROOT / "training/configs/pjepa_mini.yaml",
        "--data", "jets/*.root", "--output", "runs/a", "--device", "cpu", "--set", *small, folder=here,
    )  # fmt: skip
    command(
        *script("training/finetune.py"), "--encoder", "runs/a", "--mode", "freeze", "--data", "jets/*.root",
        "--labels-per-class", "20", "--output", "runs/b", "--device", "cpu", "--set", "steps=4", folder=here,
    )  # fmt: skip
    command(*script("training/export.py"), "runs/b", "--output", "encoder.onnx", folder=here)
    return here


def test_the_file_proves_itself(folder: Path) -> None:
    assert "agrees" in command(*JEPA_COFFEA, "validate", "encoder.onnx", folder=folder)
    assert "Tbqq" in command(*JEPA_COFFEA, "inspect", "encoder.onnx", folder=folder)


def test_events_to_a_p_value(folder: Path) -> None:
    document = {
        "embed": {
            "model": "encoder.onnx",
            "files": {"data": ["events/*.root"]},
            "output": "embedded",
            "sqrt_s": 13000,
            "selection": {"mjj": 500},
            "chunksize": 400,
        },
        "input": {"events": ["embedded/dataset=data/*.parquet"]},
        "output": "hunt",
        "mass": {"windows": [{"window": [650, 850], "sidebands": [500, 1500]}], "bins": 12},
        "features": {"use": "both", "components": 2},
        "classifier": {"candidates": {"logistic": {}}, "members": 1},
        "folds": {"outer": 3, "inner": 2},
        "efficiencies": [0.3],
        "statistics": {"function": "dijet2", "goodness_toys": 100},
        "calibration": {"experiments": 25},
    }
    (folder / "hunt.yaml").write_text(yaml.safe_dump(document))
    printed = command(*JEPA_COFFEA, "embed", "hunt.yaml", "--quiet", folder=folder)
    rows = pq.read_table(folder / "embedded")
    assert "700" in printed
    assert rows.num_rows == 700
    assert rows["jet1_embedding"].type.list_size == 32  # class token and pT-weighted mean, 16 each
    assert {"jet1_score_QCD", "jet2_score_Tbqq", "mjj", "event"} <= set(rows.column_names)
    # Status 1: the hunt is done, and its gates find 700 events too few to quote.
    command(*JEPA_COFFEA, "hunt", "hunt.yaml", folder=folder, accepted=(0, 1))
    found = json.loads((folder / "hunt" / "results.json").read_text())
    text = json.dumps(found)
    assert (folder / "hunt" / "summary.txt").read_text().strip()
    assert (folder / "hunt" / "report.html").stat().st_size > 10_000
    assert 0 < found["selections"][0]["corrected"]["function"]["p"] < 1, text


def test_histograms_by_dataset_and_region(folder: Path) -> None:
    command(
        *script("examples/embed_events.py"), "--model", "encoder.onnx", "--output", "batch", "--workers", "2",
        "--chunksize", "300", "--mjj", "500", "low=events/*.root", folder=folder,
    )  # fmt: skip
    assert pq.read_table(folder / "batch" / "dataset=low").num_rows == 700
    with uproot.open(folder / "batch" / "histograms.root") as file:
        assert file["low/inclusive/mjj"].values(flow=True).sum() == 700
        assert "low/inclusive/jet2_score_Tbqq" in file


def test_the_processor_of_the_readme(folder: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    source = next(block for block in blocks if "class MyProcessor" in block)
    (folder / "mine.py").write_text(source.replace('"events.root"', '"events/qcd.root"'))
    printed = command(sys.executable, "mine.py", folder=folder)
    assert int(re.findall(r"^(\d+) jets$", printed, flags=re.MULTILINE)[0]) > 1000  # 700 events, two hard jets in most
