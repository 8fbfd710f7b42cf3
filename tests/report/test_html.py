import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from jepa_coffea.plots import save
from jepa_coffea.report import Check, Report, ReportFigure, ReportSection, ReportTable, write_report
from jepa_coffea.report.html import with_error

CHECKS = [
    Check("AUC low/high", True, "0.503 +- 0.006", "0.5 within 3 sigma", "The classifier sees the mass."),
    Check("Fake window", False, "Z = 4.1", "|Z| < 3", "A bump appears where none is."),
]


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def picture() -> Figure:
    figure = Figure(figsize=(2, 2))
    figure.subplots().plot([0, 1])
    return figure


def test_self_contained_and_complete(tmp_path: Path) -> None:
    file = save(picture(), tmp_path / "a.png")
    rows = [["2.5-3.1", 3.21456, 150, True], ["none", np.nan, -np.inf, None]]
    report = Report(
        title="A <hunt>",
        summary="An excess.",
        checks=CHECKS,
        sections=[
            ReportSection(
                "Fits",
                "Masked & fitted.",
                [ReportTable("Windows", ["window", "Z", "n", "ok"], rows, "Local.")],
                [ReportFigure("Spectrum", picture()), ReportFigure("Again", file, "From a file.")],
            )
        ],
        configuration="seed: 1\nfit: <dijet3>",
        created="2026-01-01",
    )
    source = write_report(tmp_path / "out" / "report.html", report).read_text()
    page = Page()
    page.feed(source)
    assert page.open == []
    assert sum(link.startswith("data:") for link in page.sources) == 2
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in page.sources)
    text = " ".join(page.text)
    for expected in (
        "A <hunt>",
        "3.215",
        "150",
        "-inf",
        "yes",
        "seed: 1\nfit: <dijet3>",
        "✗ failed",
        "Not to be quoted",
        "numpy",
    ):
        assert expected in text
    assert not re.search(r"https?://", source)


def test_wide_pictures_get_the_whole_width(tmp_path: Path) -> None:
    wide, square = Figure(figsize=(8, 3)), picture()
    wide.subplots()
    pictures: list[Figure | Path] = [wide, square, save(wide, tmp_path / "w.png"), save(square, tmp_path / "s.png")]
    section = ReportSection("Figures", figures=[ReportFigure(str(i), shown) for i, shown in enumerate(pictures)])
    source = write_report(tmp_path / "r.html", Report("T", "S", CHECKS, [section], "")).read_text()
    assert re.findall(r"<figure( class=\"wide-picture\")?><strong>(\d)", source) == [
        (' class="wide-picture"', "0"),
        ("", "1"),
        (' class="wide-picture"', "2"),
        ("", "3"),
    ]


@pytest.mark.parametrize(("value", "shown"), [(1.234, "1.2 ± 0.5"), (np.nan, "-")])
def test_a_number_has_an_error_and_nothing_has_a_dash(value: float, shown: str) -> None:
    assert with_error(value, 0.52, 1) == shown


def test_columns_of_numbers_are_aligned_with_what_is_missing_in_them(tmp_path: Path) -> None:
    table = ReportTable("T", ["a", "b", "c"], [["x", None, 1], [2, 3.5, True]])
    source = write_report(
        tmp_path / "r.html", Report("T", "N.", CHECKS, [ReportSection("S", tables=[table])], "")
    ).read_text()
    assert '<th>a</th><th class="number">b</th><th>c</th>' in source
    assert '<td>x</td><td class="number">-</td><td>1</td>' in source


def test_a_reason_that_is_no_check_counts(tmp_path: Path) -> None:
    passed = [check for check in CHECKS if check.passed]
    for reasons in ([], ["there are no pseudo-experiments"]):
        source = write_report(tmp_path / "r.html", Report("T", "N.", passed, [], "", reasons=reasons)).read_text()
        assert ("Not to be quoted" in source, "Checks passed" in source) == (bool(reasons), not reasons)


def test_order_contents_and_widths(tmp_path: Path) -> None:
    """The result first, then what was done, then the contents, whose links all lead somewhere; nothing is cut."""
    sections = [ReportSection("Spectra & fits", "A."), ReportSection("Limits against mass", "B.")]
    report = Report(
        "T", "An excess.", CHECKS, sections, "seed: 1", headline=[("Observed", "27")], procedure="Events were scored."
    )
    source = write_report(tmp_path / "r.html", report).read_text()
    order = ["An excess.", "Events were scored.", "Contents", 'id="checks"', 'id="spectra-fits"', 'id="configuration"']
    places = [source.index(text) for text in ["<th>Observed</th>", *order]]
    assert places == sorted(places)
    links = re.findall(r'href="#([^"]+)"', source)
    assert {"checks", "spectra-fits", "limits-against-mass", "configuration", "versions"} == set(links)
    assert set(links) <= set(re.findall(r'id="([^"]+)"', source))
    # A column that may not shrink below a number of pixels is cut on a telephone.
    assert not re.findall(r"minmax\(\d+px", source)
    assert re.search(r"figure img \{[^}]*max-width: \d+px; height: auto", source)
    assert '<meta name="viewport" content="width=device-width' in source
    assert "@media print" in source
    assert source.count("<thead>") == 1  # of the checks: a long table repeats its head on every printed page
