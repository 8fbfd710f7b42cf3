"""What a user sees while something long goes on."""

from io import StringIO

import pytest
from rich.console import Console

from jepa_coffea import progress
from jepa_coffea.progress import Bar, counted, duration, rate


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
        bar.show(0.9, "step 900")
        clock[0] += 60
        bar.show(0.95, "step 950")
    assert said.getvalue().strip() == "run:  95.0 %  step 950  60 s left"


@pytest.mark.parametrize(("seconds", "said"), [(0, "0 s"), (89, "89 s"), (100, "2 min"), (11100, "3 h 05 min")])
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("number", "seconds", "said"), [(2700, 2, "1350 jets/s"), (12, 60, "12 jets/min"), (0, 0, "0 jets/min")]
)
def test_rates(number: float, seconds: float, said: str) -> None:
    assert rate(number, seconds, "jets") == said
