from pathlib import Path

import hist
import numpy as np
import pytest

from jepa_coffea.bumphunt import HistogramError
from jepa_coffea.bumphunt.exports import read_hists, write_hists


def test_json_keeps_everything(tmp_path: Path) -> None:
    h = hist.Hist(
        hist.axis.Variable([1000, 1200, 1500], name="mjj", label="m [GeV]"),
        hist.axis.StrCategory(["a", "b"], name="region", growth=True),
        storage=hist.storage.Weight(),
    )
    h.fill([1100, 1300, 9000], ["a", "b", "a"], weight=[1.5, -2, 3])
    again = read_hists(write_hists(tmp_path / "h.json", {"x": h}))
    assert again == {"x": h}
    assert again["x"].axes[0].label == "m [GeV]"


def test_root_keeps_counts_and_edges(tmp_path: Path) -> None:
    h = hist.Hist(hist.axis.Variable([1000, 1200, 1500], name="mjj"), storage=hist.storage.Weight())
    h.fill([1100, 1300, 1400])
    again = read_hists(write_hists(tmp_path / "h.root", {"all/mjj": h}))["all/mjj"]
    assert np.array_equal(again.values(), h.values())
    assert np.array_equal(again.variances(), h.variances())
    assert np.array_equal(again.axes[0].edges, h.axes[0].edges)


def test_no_pickles(tmp_path: Path) -> None:
    with pytest.raises(HistogramError, match=r"\.json or \.root"):
        write_hists(tmp_path / "h.pkl", {})
    with pytest.raises(HistogramError, match=r"\.json or \.root"):
        read_hists(tmp_path / "h.pkl")
