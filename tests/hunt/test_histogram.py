import json

import hist
import numpy as np
import pytest
import uproot

from jepa_coffea.cwola.windows import WindowError, Windows
from jepa_coffea.hunt.config import HuntError, read_config
from jepa_coffea.hunt.histogram import read_histogram, with_own_edges

EDGES = np.linspace(2000, 4000, 41)
WINDOWS = Windows.single(2600, 3000, sidebands=(2200, 3600), bins=list(np.linspace(2200, 3600, 15)))


def write(path, counts, edges=EDGES):
    path.write_text(json.dumps({"counts": list(counts), "edges": list(edges)}))
    return path


def test_finer_and_wider_histograms_are_rebinned(tmp_path):
    counts = np.arange(40.0)
    expected = counts[4:32].reshape(14, 2).sum(axis=1)
    assert read_histogram(write(tmp_path / "h.json", counts), WINDOWS).tolist() == expected.tolist()
    with uproot.recreate(tmp_path / "h.root") as file:
        histogram = hist.Hist(hist.axis.Variable(EDGES), storage=hist.storage.Double())
        histogram[...] = counts
        file["mjj"] = histogram
    assert read_histogram(tmp_path / "h.root:mjj", WINDOWS).tolist() == expected.tolist()


def test_histograms_that_are_no_counts(tmp_path):
    for counts in (np.full(40, 0.5), -np.ones(40), np.full(40, np.nan)):
        with pytest.raises(HuntError, match="no event counts"):
            read_histogram(write(tmp_path / "h.json", counts), WINDOWS)
    with pytest.raises(HuntError, match="strictly increasing"):
        read_histogram(write(tmp_path / "h.json", np.ones(40), EDGES[::-1]), WINDOWS)
    with pytest.raises(HuntError, match="are no edges of"):
        read_histogram(write(tmp_path / "h.json", np.ones(40), EDGES + 1), WINDOWS)
    with pytest.raises(HuntError, match="no histogram file"):
        read_histogram(tmp_path / "none.json", WINDOWS)
    (tmp_path / "h.json").write_text('{"counts": 3, "edges": [1, 2]}')
    with pytest.raises(HuntError, match="has 1 counts and edges"):
        read_histogram(tmp_path / "h.json", WINDOWS)
    (tmp_path / "h.root").write_bytes(b"no ROOT file")
    with pytest.raises(HuntError, match="'mjj' cannot be read as a histogram"):
        read_histogram(tmp_path / "h.root:mjj", WINDOWS)
    (tmp_path / "h.root").write_bytes(b"")
    with pytest.raises(HuntError, match=r"'mjj' cannot be read as a histogram.*the file has 0 bytes"):
        read_histogram(tmp_path / "h.root:mjj", WINDOWS)
    (tmp_path / "h.json").write_text('{"counts": [], "edges": []}')
    with pytest.raises(HuntError, match="has 0 counts and edges"):
        read_histogram(tmp_path / "h.json", WINDOWS)
    (tmp_path / "h.json").write_text("{}")
    with pytest.raises(HuntError, match="'counts' and 'edges'"):
        read_histogram(tmp_path / "h.json", WINDOWS)
    with uproot.recreate(tmp_path / "h.root") as file:
        weighted = hist.Hist(hist.axis.Variable(EDGES), storage=hist.storage.Weight())
        weighted.fill(np.full(10, 2500.0), weight=0.3)
        file["mjj"] = weighted
        weighted.fill(np.full(10, 2600.0), weight=0.2)
        file["mixed"] = weighted
    assert read_histogram(tmp_path / "h.root:mjj", WINDOWS).sum() == 10  # scaled to a luminosity
    with pytest.raises(HuntError, match=r"different weights.*input\.unweight"):
        read_histogram(tmp_path / "h.root:mixed", WINDOWS)
    with pytest.raises(HuntError, match="holds no 'other'; it holds mjj, mixed"):
        read_histogram(tmp_path / "h.root:other", WINDOWS)


def test_a_hunt_takes_the_bins_of_its_histogram(tmp_path):
    """Those inside the fit range, unless the document has bins of its own."""
    write(tmp_path / "h.json", np.full(40, 10.0))
    text = "input: {{histogram: h.json}}\noutput: o\nmass: {{windows: [{{window: {}, sidebands: [2200, 3600]}}]{}}}\n"
    path = tmp_path / "hunt.yaml"
    path.write_text(text.format("[2600, 3000]", ""))
    windows = with_own_edges(read_config(path)).mass.build()
    assert windows.edges == pytest.approx(EDGES[4:33])
    assert read_histogram(tmp_path / "h.json", windows).tolist() == [10.0] * 28
    path.write_text(text.format("[2600, 3000]", ", bins: [2200, 2600, 3000, 3600]"))
    assert with_own_edges(read_config(path)).mass.build().edges == (2200, 2600, 3000, 3600)
    path.write_text(text.format("[2610, 3000]", ""))
    with pytest.raises(WindowError, match="2610 GeV is no bin edge"):
        with_own_edges(read_config(path))
