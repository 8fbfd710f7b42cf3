"""Hunts without windows: the whole axis of a histogram, or of a table, is scanned for a peak."""

import json
from pathlib import Path

import hist
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot
import yaml

from jepa_coffea.bumphunt import (
    Gaussian,
    fit_background,
    global_significance,
    mass_limits,
    scan,
    shape_search,
    spurious_yields,
)
from jepa_coffea.cli import main
from jepa_coffea.commands.hunt import hunt
from jepa_coffea.hunt.config import HuntError, read_config
from jepa_coffea.hunt.histogram import with_own_edges
from jepa_coffea.hunt.inclusive import EXCESS, MIDDLE

EDGES = np.linspace(2200, 4500, 24)
STATISTICS = {"sqrt_s": 13000, "function": "dijet2", "goodness_toys": 100, "global_toys": 40}


def masses(signal: int = 150) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.append(2000 + rng.exponential(400, 20_000), rng.normal(2950, 60, signal))


def write(folder: Path, **sections) -> Path:
    counts = np.histogram(masses(), EDGES)[0]
    (folder / "h.json").write_text(json.dumps({"counts": counts.tolist(), "edges": EDGES.tolist()}))
    document = {"input": {"histogram": "h.json"}, "output": "out", "statistics": STATISTICS}
    (folder / "hunt.yaml").write_text(yaml.safe_dump({**document, **sections}))
    return folder / "hunt.yaml"


def test_it_is_the_scan_of_the_statistics(tmp_path, capsys):
    """Local Z, the signal that the function may fake, limits and the global p-value are those of the functions."""
    path = write(tmp_path, signal={"widths": [0.03, 0.1], "efficiency": 0.5, "toys": 0}, luminosity=100, seed=3)
    found = hunt(path, progress=False)
    data, shared = (np.histogram(masses(), EDGES)[0].astype(float), EDGES), {"function": "dijet2"}
    searches = []
    for width in (0.03, 0.1):
        signal, name = Gaussian(width), f"width {width:g}"
        first = scan(data, signal=signal, toys=0, **shared)
        place, share = first.masses[first.best], 2 * width
        inside = np.flatnonzero((EDGES[1:] > place * (1 - share)) & (EDGES[:-1] < place * (1 + share)))
        # Nothing is left below the wide one, so that the whole spectrum is fitted.
        window = (EDGES[inside[0]], EDGES[inside[-1] + 1]) if width == 0.03 else None
        faked = spurious_yields(data, signal=signal, window=window, toys=100, seed=3, **shared)
        expected = scan(data, signal=signal, spurious=faked.events, toys=0, **shared)
        assert found.scan.by_width[name].z == pytest.approx(expected.z)
        assert found.scan.by_width[name].spurious == pytest.approx(faked.events)
        limits = mass_limits(
            data, faked.masses, signal=signal, spurious=faked.events, luminosity=100, efficiency=0.5, **shared
        )
        assert found.mass_limits[name].cross_section == pytest.approx(limits.cross_section)
        searches.append(shape_search(data, signal=signal, spurious=faked.events, **shared))
        if width == 0.03:
            beside = fit_background(data, "dijet2", window=window, toys=100, seed=3)
    assert found.refitted.maxima == pytest.approx(global_significance([searches], toys=40, seed=3).maxima)
    assert found.refitted.hypotheses == sum(len(search.masses) for search in searches)
    name, largest = found.scan.largest
    places = [largest.masses[largest.best], limits.points[len(limits.points) // 2]]  # of the wide one
    names = [f"mass {mass:.4g} GeV, {name}" for mass, name in zip(places, (EXCESS, MIDDLE), strict=True)]
    assert list(found.width_limits) == names
    for mass, curve in zip(places, found.width_limits.values(), strict=True):
        assert (curve.axis, curve.points.tolist()) == ("width", [0.03, 0.1])
        for number, of_mass in enumerate(found.mass_limits.values()):
            across = np.exp(np.interp(mass, of_mass.points, np.log(of_mass.expected_cross_section[:, 2])))
            assert curve.expected_cross_section[number, 2] == pytest.approx(across, rel=0.05)
            observed = np.interp(mass, of_mass.points, of_mass.cross_section)
            assert curve.cross_section[number] == pytest.approx(observed, rel=0.1)
    excess = found.width_limits[names[0]]
    assert excess.cross_section[0] > 2 * excess.expected_cross_section[0, 2]
    assert (name, abs(largest.masses[largest.best] - 2950) < 60, largest.z.max() > 3) == ("width 0.03", True, True)
    assert found.scan.fit.p_value == beside.p_value
    assert not found.reasons
    assert f"Z = {largest.z.max():.2f}" in found.paragraph
    printed = capsys.readouterr().out
    assert f"{largest.z.max():.2f}" in printed
    page = (tmp_path / "out/report.html").read_text()
    against_width = [f"Limits against width, {name}" for name in names]
    titles = ("Spectrum", "Local p0 against mass", "Limits against mass, width 0.03", "Global significance")
    for title in (*titles, *against_width):
        assert f"{title}</" in page
    assert page.count("These data chose the mass") == 1
    assert "peak at this mass, in all events" in page
    stored = json.loads((tmp_path / "out/results.json").read_text())
    assert stored["scan"]["width 0.03"]["z"] == pytest.approx(largest.z)
    exported = (tmp_path / "out/exports/hepdata/submission.yaml").read_text()
    assert "local p-values, width 0.03" in exported
    with uproot.open(tmp_path / "out/exports/histograms.root") as file:
        assert file["all_events"].values().tolist() == data[0].tolist()
    assert main(["report", str(tmp_path / "out"), "--quiet"]) == 0


def test_axis_and_range_are_of_the_histogram(tmp_path):
    for mass, edges in (({}, EDGES), ({"fit_range": [2400, 4000]}, EDGES[2:19]), ({"bins": [2200, 2300, 2500]}, None)):
        windows = with_own_edges(read_config(write(tmp_path, mass=mass))).mass.build()
        assert windows.windows == ()
        assert windows.edges == pytest.approx((2200, 2300, 2500) if edges is None else edges)
    with pytest.raises(HuntError, match="is of 2200 to 4500, the fit range of 5000 to 6000"):
        with_own_edges(read_config(write(tmp_path, mass={"fit_range": [5000, 6000]})))
    with uproot.recreate(tmp_path / "h.root") as file:
        file["mjj"] = hist.Hist(hist.axis.Variable(EDGES), storage=hist.storage.Double()).fill(masses())
    path = write(tmp_path, input={"histogram": "h.root:mjj"}, statistics=STATISTICS | {"global_toys": 0})
    found = hunt(path, progress=False)
    assert found.spectrum.tolist() == np.histogram(masses(), EDGES)[0].tolist()
    assert "No toys were asked for" in found.paragraph


def test_the_order_of_the_function_is_chosen_in_toys_too(tmp_path):
    statistics = STATISTICS | {"function": "auto", "goodness_toys": 0, "global_toys": 20}
    found = hunt(write(tmp_path, statistics=statistics), progress=False)
    assert list(found.functions.choices) == ["none"]
    assert found.scan.fit.function == found.functions.choices["none"].function
    assert "function chosen in each spectrum" in found.refitted.search


def test_events_need_a_mass_alone(tmp_path):
    """A table without features gives the same as its histogram."""
    path = write(tmp_path)
    of_histogram = hunt(path, progress=False)
    mass = masses()
    identity = {
        "run": np.ones(len(mass), int),
        "luminosityBlock": np.ones(len(mass), int),
        "event": np.arange(len(mass)),
    }
    pq.write_table(pa.table({**identity, "m_ll": mass}), tmp_path / "mine.parquet")
    shared = {"input": {"events": ["mine.parquet"]}, "output": "events"}
    axis = {"column": "m_ll", "windows": [], "bins": EDGES.tolist()}
    found = hunt(write(tmp_path, mass=axis, **shared), progress=False)
    assert found.scan.by_width["width 0.05"].z == pytest.approx(of_histogram.scan.by_width["width 0.05"].z)
    assert found.refitted.p == of_histogram.refitted.p
    assert read_config(tmp_path / "hunt.yaml").mass.label == "m_ll [GeV]"
    inside = int(found.spectrum.sum())
    assert f"in a spectrum of {inside} events, with m_ll from 2200" in (tmp_path / "events/report.html").read_text()
    with pytest.raises(HuntError, match="or for a mass axis alone a fit_range or bin edges"):
        read_config(write(tmp_path, mass={"windows": []}, **shared))


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        (
            {"classifier": {"members": 3}},
            "the document has classifier, for classifiers that are trained to tell the events in",
        ),
        (
            {"features": {"use": "both"}, "efficiencies": [0.2]},
            "the document has features, efficiencies, for classifiers",
        ),
        ({"blind": True}, "blind: it hides what was counted in windows, and there are none"),
    ],
)
def test_what_means_nothing_without_windows(tmp_path, sections, words):
    with pytest.raises(HuntError, match=words):
        read_config(write(tmp_path, **sections))
    events = {"input": {"events": ["mine.parquet"]}, "mass": {"windows": [], "fit_range": [2200, 4500]}}
    with pytest.raises(HuntError, match=words):
        read_config(write(tmp_path, **events, **sections))


def test_a_spectrum_that_cannot_be_fitted_gives_a_reason(tmp_path):
    path = write(tmp_path)
    few = [3, 1, 2, 0, 1, 1, 0, 0, 1, 0, 1] + [0] * 12
    (tmp_path / "h.json").write_text(json.dumps({"counts": few, "edges": EDGES.tolist()}))
    assert main(["hunt", str(path), "--quiet"]) == 1
    stored = json.loads((tmp_path / "out/results.json").read_text())
    assert stored["scan"] is None
    assert "there is no scan: the spectrum holds 10 events, and dijet2 needs 12" in stored["reasons_against"][0]
    assert (tmp_path / "out/report.html").is_file()


def test_what_fails_at_the_end_loses_nothing(tmp_path, monkeypatch, capsys):
    def fails(*_, **__):
        raise np.linalg.LinAlgError("singular")

    monkeypatch.setattr("jepa_coffea.hunt.pipeline.inclusive_limits", fails)
    monkeypatch.setattr("jepa_coffea.hunt.pipeline.write_exports", fails)
    quick = STATISTICS | {"goodness_toys": 0, "global_toys": 0}
    found = hunt(write(tmp_path, statistics=quick, signal={"widths": [0.05]}), progress=False)
    assert found.mass_limits == {"all": "singular"}
    assert found.reasons == ["there are no limits against mass: singular", "the exports are not complete: singular"]
    assert found.paragraph.endswith("the exports are not complete: singular.")
    assert not (tmp_path / "out" / "errors.log").exists()
    assert json.loads((tmp_path / "out" / "results.json").read_text())["scan"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "No limits" in page
    assert "the exports are not complete: singular." in page
    capsys.readouterr()


def test_a_spectrum_without_events_gives_no_empty_table(tmp_path, capsys):
    path = write(tmp_path)
    (tmp_path / "h.json").write_text(json.dumps({"counts": [0] * 23, "edges": EDGES.tolist()}))
    assert main(["hunt", str(path), "--quiet"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith(
        "This result must not be quoted: there is no scan: the spectrum holds 0 events, and dijet2 needs 12 to be"
    )
