"""What a user sees of a training."""

from io import StringIO

import pytest
from rich.console import Console

from jepa_coffea import progress
from training.loop.bar import TrainingBar


def test_the_latest_numbers_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    said = StringIO()
    with TrainingBar("run", Console(file=said, force_terminal=False, width=200)) as bar:
        bar.update(900, 0.9, {"loss": 1.0, "rankme": 20.0})
        now[0] += 60
        bar.update(950, 0.95, {"loss": 0.5, "other": 3.0})
    assert said.getvalue().strip() == "run:  95.0 %  step 950 loss 0.5 rankme 20  60 s left"
