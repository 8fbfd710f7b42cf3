"""The search of the public spectrum is that of a hunt."""

import json

import numpy as np
import pytest
import yaml

from benchmarks.statistics import cms_dijets
from jepa_coffea.commands.hunt import hunt


def test_the_search_counts_what_the_function_fakes_as_a_hunt_does(tmp_path, monkeypatch):
    counts, edges = cms_dijets.read_spectrum()
    monkeypatch.setattr(cms_dijets, "WIDTHS", [0.1])
    found = cms_dijets.searched((counts, edges), 100)
    (tmp_path / "h.json").write_text(json.dumps({"counts": counts.tolist(), "edges": edges.tolist()}))
    document = {
        "input": {"histogram": "h.json"},
        "output": "out",
        "statistics": {"sqrt_s": 13000, "function": "dijet3", "goodness_toys": 100, "global_toys": 100},
        "signal": {"widths": [0.1], "toys": 0},
    }
    (tmp_path / "hunt.yaml").write_text(yaml.safe_dump(document))
    of_hunt = hunt(tmp_path / "hunt.yaml", progress=False)
    scan = of_hunt.scan.by_width["width 0.1"]
    assert found["global"]["local_z"] == pytest.approx(scan.z.max())
    assert found["global"]["p"] == of_hunt.refitted.p
    bare = scan.z * np.sqrt(1 + (scan.spurious / scan.errors) ** 2)
    assert found["global_as_if_nothing_were_faked"]["local_z"] == pytest.approx(bare.max())
    assert bare.max() > scan.z.max() + 0.01
