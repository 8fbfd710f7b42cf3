"""The report of a hunt: a part that fails is said in its place, and takes nothing else along."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from matplotlib.figure import Figure

from jepa_coffea.commands.hunt import hunt
from jepa_coffea.report.html import write_report

BUG = "a bug (RuntimeError: boom); its traceback is in errors.log, please report it"


def explodes(*_, **__):
    raise RuntimeError("boom")


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


@pytest.mark.parametrize(
    ("where", "said", "place"),
    [
        ("report.hunt_report.spectrum_section", "the section Spectra of the report could not be made", "This section"),
        ("plots.largest_excess.write_header", "the section Spectra of the report could not be made", "This section"),
        ("report.hunt_report.save", "the picture Spectra of W1 could not be drawn", "The picture Spectra of W1"),
        ("report.hunt_report._fit_check", "the checks are not in the report", "Nothing was checked"),
        ("report.hunt_report.what_was_done", "what was done is not in the report", ""),
    ],
)
def test_a_part_that_fails_is_said(document: Path, monkeypatch: pytest.MonkeyPatch, where: str, said: str, place: str):
    monkeypatch.setattr(f"jepa_coffea.{where}", explodes)
    found = hunt(document, progress=False)
    out = document.parent / "out"
    results = json.loads((out / "results.json").read_text())
    page = (out / "report.html").read_text()
    assert f"{said}: {BUG}" in results["reasons_against"]
    assert not results["may_be_quoted"]
    assert results["inclusive"][0]["function"]["z"] == found.inclusive[0].selection.function.z
    for text in (found.paragraph, (out / "summary.txt").read_text(), page):
        assert f"{said}: {BUG}" in text
    assert "This result must not be quoted" in found.paragraph
    assert "All checks are passed" not in page
    assert place in page
    assert "Windows and efficiencies" in page
    assert "in explodes" in (out / "errors.log").read_text()


def test_a_page_that_cannot_be_made_gives_way_to_its_paragraph(document: Path, monkeypatch: pytest.MonkeyPatch):
    pages = []

    def fails_once(path, report):
        pages.append(report)
        if len(pages) == 1:
            raise RuntimeError("boom")
        return write_report(path, report)

    monkeypatch.setattr("jepa_coffea.report.hunt_report.write_report", fails_once)
    found = hunt(document, progress=False)
    page = (document.parent / "out" / "report.html").read_text()
    assert f"the report holds nothing but this paragraph: {BUG}" in page
    assert "Z = " in page
    assert found.reasons == json.loads((document.parent / "out" / "results.json").read_text())["reasons_against"]


def test_pictures_stay_in_the_page_where_their_folder_is_not_ours(document: Path):
    hunt(document, progress=False)
    out = document.parent / "out"
    (out / "plots" / ".jepa-coffea").unlink()
    found = hunt(document, progress=False)
    assert any(reason.startswith("the pictures have no files of their own: ") for reason in found.reasons)
    assert "data:image/png" in (out / "report.html").read_text()


def test_a_picture_is_drawn_when_it_is_saved(document: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Figure, "savefig", explodes)
    found = hunt(document, progress=False)
    assert sum("could not be drawn" in reason for reason in found.reasons) == 3
    assert (document.parent / "out" / "report.html").is_file()
