"""Control plots come out of the command line, from what the files hold."""

from pathlib import Path

import numpy as np
from matplotlib.image import imread

from examples.simulate import main


def test_plots_of_jets_and_events(tmp_path: Path) -> None:
    jets = ["--format=jetclass", "--classes=QCD,Zqq", "--jets=20"]
    main([*jets, "--workers=1", f"--output={tmp_path / 'jets'}", f"--plots={tmp_path / 'plots'}"])
    events = ["--process=wz", "--events=15", "--pt-hat-min=500", "--mpi=off"]
    main([*events, "--workers=1", f"--output={tmp_path / 'wz.root'}", f"--plots={tmp_path / 'plots'}"])
    plots = sorted((tmp_path / "plots").iterdir())
    assert [path.name for path in plots] == ["jets.png", "peaks.png", "wz.png"]
    for path in plots:
        image = imread(path)
        assert np.std(image) > 0.05  # something is drawn
