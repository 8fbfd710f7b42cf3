"""How much signal the demo has, and what its hunt would expect of it."""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from benchmarks.statistics import demo_signal


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    (tmp_path / "hunt-signal.yaml").write_text(yaml.safe_dump({"mass": {"fit_range": [2300.0, 4500.0]}}))
    document = {
        "input": {"events": ["embedded/dataset=qcd/*.parquet"]},
        "output": "hunt-nothing",
        "efficiencies": [0.1, 0.01],
    }
    (tmp_path / "hunt-nothing.yaml").write_text(yaml.safe_dump(document))
    for number, masses in enumerate(([2299.0, 2300.0, 3000.0], [4499.0, 4500.0])):
        path = tmp_path / "embedded" / "dataset=wprime" / f"{number}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"mjj": np.array(masses)}), path)
    return tmp_path


def test_signal_is_counted_in_the_fit_range(demo: Path) -> None:
    assert demo_signal.injected(demo) == 3


def test_the_demo_s_hunt_is_given_injections_and_their_z_is_read(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = demo / "bin" / "jepa-coffea"
    command.parent.mkdir()
    command.write_text(
        "#!/bin/sh\nmkdir -p $(dirname $2)/hunt\ncp $2 $(dirname $2)/hunt/read.yaml\n"
        "cp $(dirname $2)/../injection.json $(dirname $2)/hunt/\nexit 1\n"
    )
    command.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(command.with_name("python")))
    rows = [
        {"method": "inclusive", "calibrated": False, "experiments": 10, "z_low": 0.5, "z": 1.0, "z_high": 1.5},
        {"method": "cwola", "calibrated": True, "experiments": 10, "z_low": 5.0, "z": 6.0, "z_high": 7.0},
    ]
    (demo / "injection.json").write_text(json.dumps({"summary": rows, "efficiency": 0.01, "z": "by the function"}))
    (demo / demo_signal.NAME).mkdir()
    found = demo_signal.expected(demo, "more/*.parquet", 3, 10)
    assert found["z"] == [5.0, 6.0, 7.0]
    assert found["calibrated"]
    read = yaml.safe_load((demo / demo_signal.NAME / "hunt" / "read.yaml").read_text())
    assert read["injection"] == {"signal": ["more/*.parquet"], "yields": [3], "seeds": 10}
    assert read["input"]["events"] == [str(demo / "embedded/dataset=qcd/*.parquet")]
    assert read["output"] == str(demo / demo_signal.NAME / "hunt")
