import re
from html.parser import HTMLParser
from pathlib import Path

from matplotlib.figure import Figure as Picture

from jepa_coffea.plots import save
from jepa_coffea.report import Figure, Gate, Report, Section, Table, conclude, write_report

GATES = [
    Gate("AUC low/high", True, "0.503 +- 0.006", "0.5 within 3 sigma", "The classifier sees the mass."),
    Gate("Fake window", False, "Z = 4.1", "|Z| < 3", "A bump appears where none is."),
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


def picture() -> Picture:
    figure = Picture(figsize=(2, 2))
    figure.subplots().plot([0, 1])
    return figure


def test_self_contained_and_complete(tmp_path: Path) -> None:
    file = save(picture(), tmp_path / "a.png")
    report = Report(
        title="A <hunt>",
        summary=conclude(where="the window 2.5-3.1 TeV", local_z=3.2, global_p=0.004, gates=GATES),
        gates=GATES,
        sections=[
            Section(
                "Fits",
                "Masked & fitted.",
                [Table("Windows", ["window", "Z", "n", "ok"], [["2.5-3.1", 3.21456, 150, True]], "Local.")],
                [Figure("Spectrum", picture()), Figure("Again", file, "From a file.")],
            )
        ],
        configuration="seed: 1\nfit: <dijet3>",
        created="2026-01-01",
    )
    source = write_report(tmp_path / "out" / "report.html", report).read_text()
    page = Page()
    page.feed(source)
    assert page.open == []
    assert len(page.sources) == 2
    assert all(link.startswith("data:image/png;base64,") for link in page.sources)
    text = " ".join(page.text)
    for expected in (
        "A <hunt>",
        "3.215",
        "150",
        "yes",
        "seed: 1\nfit: <dijet3>",
        "✗ failed",
        "Not to be quoted",
        "numpy",
    ):
        assert expected in text
    assert not re.search(r"https?://", source)


def test_conclusion_follows_the_numbers() -> None:
    passed = GATES[:1]
    kwargs = {"where": "W", "local_z": 2.0}
    nothing = conclude(**kwargs, global_p=0.4, gates=passed)
    assert "expected to look like" in nothing
    assert "All 1 closure gates passed" in nothing
    strong = conclude(**kwargs, global_p=1e-3, calibrated_p=1e-5, gates=GATES)
    assert "more than 3 standard deviations" in strong
    assert "must not be quoted: 1 of 2" in strong
    assert "A bump appears where none is." in strong
    assert "below 0.001" in conclude(**kwargs, global_p=1e-3, bound=True, gates=passed)
    assert "trials are not accounted for" in conclude(**kwargs, global_p=None, gates=passed)
    assert "should not be quoted" in conclude(**kwargs, global_p=0.5, gates=[])


def test_wide_pictures_get_the_whole_width(tmp_path: Path) -> None:
    wide, square = Picture(figsize=(8, 3)), picture()
    wide.subplots()
    pictures: list[Picture | Path] = [wide, square, save(wide, tmp_path / "w.png"), save(square, tmp_path / "s.png")]
    section = Section("Pictures", figures=[Figure(str(i), shown) for i, shown in enumerate(pictures)])
    source = write_report(tmp_path / "r.html", Report("T", "S", GATES, [section], "")).read_text()
    assert re.findall(r"<figure( class=\"wide-picture\")?><strong>(\d)", source) == [
        (' class="wide-picture"', "0"),
        ("", "1"),
        (' class="wide-picture"', "2"),
        ("", "3"),
    ]
