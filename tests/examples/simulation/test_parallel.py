"""What is seen of a simulation under way."""

import pytest

from examples.simulation import parallel
from examples.simulation.parallel import Accepted, run
from jepa_coffea import progress


def made(task: int, report: parallel.Report) -> int:
    report(task, 3 * task)
    return 10 * task


def test_one_line_for_all_classes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = iter(range(0, 6000, 6))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(now)))
    with Accepted("jets", 100, "jets", kept=40) as bar:
        assert list(run(made, [10, 20], workers=1, bar=bar)) == [(10, 100), (20, 200)]
    assert "jets:  70.0 %  70 of 100 jets, of 90 generated" in capsys.readouterr().err
