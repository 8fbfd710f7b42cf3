"""What a user sees while something long goes on."""

from io import StringIO

import pytest
from rich.console import Console

from training import progress
from training.progress import Bar, counted, duration


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_lines_tell_rate_and_time_left(clock: list[float]) -> None:
    said = StringIO()

    def slow() -> object:
        for _ in range(10):
            clock[0] += 6.0
            yield [0] * 300

    console = Console(file=said, force_terminal=False, width=200)
    assert len(list(counted(slow(), 3000, "run[a]", console, size=len))) == 10
    lines = said.getvalue().splitlines()
    assert lines[0] == "run[a]:  10.0 %  300 of 3000 jets, 50 jets/s  54 s left"
    assert lines[1] == "run[a]:  50.0 %  1500 of 3000 jets, 50 jets/s  30 s left"


def test_a_resumed_run_counts_from_where_it_began(clock: list[float]) -> None:
    said = StringIO()
    with Bar("run", Console(file=said, force_terminal=False, width=200)) as bar:
        bar.update(900, 0.9, {"loss": 1.0})
        clock[0] += 60
        bar.update(950, 0.95, {"loss": 0.5, "other": 3.0})
    assert said.getvalue().strip() == "run:  95.0 %  step 950 loss 0.5  60 s left"


@pytest.mark.parametrize(("seconds", "said"), [(0, "0 s"), (89, "89 s"), (100, "2 min"), (11100, "3 h 05 min")])
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said
