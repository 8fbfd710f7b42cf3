from pathlib import Path

import matplotlib as mpl
from PIL import Image

from jepa_coffea.bumphunt import fit_background
from jepa_coffea.plots import Header, as_png, plot_spectra, save
from tests.bumphunt.conftest import Truth


def test_every_spectrum_gets_its_pulls(truth: Truth, tmp_path: Path) -> None:
    fits = {
        f"efficiency {scale}": fit_background((truth.observed(1, 50, scale), truth.edges), window=truth.window, toys=0)
        for scale in (1, 0.1)
    }
    before = dict(mpl.rcParams)
    figure = plot_spectra(fits, signals={"efficiency 0.1": 50 * truth.bump()}, header=Header("Simulation", "13 TeV"))
    assert dict(mpl.rcParams) == before
    assert len(figure.axes) == 3
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels[:2] == ["efficiency 1", "efficiency 0.1"]
    with Image.open(save(figure, tmp_path / "plots" / "spectrum.png")) as picture:
        assert picture.size[0] > 600
    assert as_png(figure).startswith(b"\x89PNG")
    path = save(figure, tmp_path / "both.png", pdf=True)
    assert path.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
