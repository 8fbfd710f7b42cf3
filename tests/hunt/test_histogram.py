import json

import hist
import numpy as np
import pytest
import uproot

from jepa_coffea.bumphunt import Gaussian
from jepa_coffea.cwola.windows import WindowError, Windows
from jepa_coffea.errors import HistogramError
from jepa_coffea.hunt.config import HuntConfig, HuntError, read_config
from jepa_coffea.hunt.histogram import read_histogram, with_own_edges, with_signal

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


FINE = np.linspace(2000, 4500, 251)


def peaked(folder, **signal):
    return HuntConfig.model_validate(
        {"input": {"events": ["x"]}, "output": "out", "mass": {"fit_range": [1450, 8000]}, "signal": signal},
        context={"folder": folder},
    )


def test_a_simulated_peak_is_the_signal(tmp_path):
    """With its own width or stretched to others; of any weights; afterwards the document holds it."""
    counts = 0.3 * Gaussian(0.05).template(FINE, 3000)
    write(tmp_path / "peak.json", counts, FINE)
    with uproot.recreate(tmp_path / "peak.root") as file:
        weighted = hist.Hist(hist.axis.Variable(FINE), storage=hist.storage.Weight())
        weighted.view()["value"], weighted.view()["variance"] = counts, np.linspace(1, 2, 250)
        file["peak"] = weighted
    for source in ("peak.json", "peak.root:peak"):
        config = with_signal(peaked(tmp_path, shape={"histogram": source, "mass": 3000}))
        assert config.widths == pytest.approx([0.05], rel=1e-3)
        assert config.kind_of_peak == "simulated"
        again = HuntConfig.model_validate(config.model_dump(mode="json"))
        for width, of in ((config.widths[0], again), (0.1, config)):
            template, expected = of.peak(width).template(EDGES, 2800), Gaussian(width).template(EDGES, 2800)
            assert template == pytest.approx(expected, abs=0.002)
    two = peaked(tmp_path, shape={"histogram": "peak.json", "mass": 3000}, widths=[0.03, 0.1])
    assert with_signal(two).widths == [0.03, 0.1]
    assert with_signal(peaked(tmp_path)).kind_of_peak == "Gaussian"


def test_what_is_no_peak_is_said_before_the_work(tmp_path):
    with pytest.raises(HuntError, match="no histogram file"):
        with_signal(peaked(tmp_path, shape={"histogram": "none.json", "mass": 3000}))
    write(tmp_path / "peak.json", np.eye(40)[20])
    with pytest.raises(HistogramError, match="what is in one bin has no width"):
        with_signal(peaked(tmp_path, shape={"histogram": "peak.json", "mass": 3000}))
    for wrong in ({"mass": 3000}, {"mass": 3000, "counts": [1, 2], "edges": [1, 2]}):
        with pytest.raises(ValueError, match=r"either a histogram|one non-negative count per bin"):
            peaked(tmp_path, shape=wrong)
    for width in (0.45, 0.7):
        with pytest.raises(HistogramError, match=f"relative width {width:g} does not fit between 1450 and 8000"):
            with_signal(peaked(tmp_path, widths=[0.05, width]))
