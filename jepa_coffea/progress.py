"""Progress of long work: a bar in a terminal, a line now and then in the log of a batch job."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from types import TracebackType
from typing import Self, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

FIRST_SECONDS, QUIET_SECONDS = 5.0, 20.0
"""Before the first line, and between two lines, where there is no terminal."""

T = TypeVar("T")


class Bar:
    """Progress from 0 to 1, with the latest numbers beside it and the time that is left.

    Without a terminal it is a line every ``QUIET_SECONDS``.

    Parameters
    ----------
    title
        What goes on.
    console
        Where to show it.
    """

    def __init__(self, title: str, console: Console) -> None:
        self._console, self._title = console, title
        self._printed = time.monotonic() + FIRST_SECONDS - QUIET_SECONDS
        self._began: tuple[float, float] | None = None
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>5.1f} % {task.fields[numbers]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(title, total=1.0, numbers="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._progress.stop()

    def show(self, progress: float, numbers: str) -> None:
        """Show how far something is.

        Parameters
        ----------
        progress
            Part of it that is over.
        numbers
            What to show beside it.
        """
        done, now = min(progress, 1.0), time.monotonic()
        self._progress.update(self._task, completed=done, numbers=numbers)
        self._began = self._began or (done, now)
        if not self._console.is_terminal and (now - self._printed > QUIET_SECONDS):
            self._printed = now
            self.say(f"{100 * done:5.1f} %  {numbers}  {self._left(done, now)}")

    def _left(self, done: float, now: float) -> str:
        """The time that is left, at the speed since the first call; a resumed run begins in the middle."""
        assert self._began is not None
        start, since = self._began
        return f"{duration((now - since) * (1 - done) / (done - start))} left" if done > start else ""

    def say(self, message: str) -> None:
        """Print a line of its own, above the bar.

        Parameters
        ----------
        message
            What to say.
        """
        self._console.print(f"{self._title}: {message}", highlight=False, markup=False, soft_wrap=True)


def duration(seconds: float) -> str:
    """A length of time for a reader.

    Parameters
    ----------
    seconds
        From 0.

    Returns
    -------
    str
        As in ``45 s``, ``12 min`` or ``3 h 05 min``.
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def rate(number: float, seconds: float, unit: str) -> str:
    """How fast something goes, for a reader.

    Parameters
    ----------
    number
        What was done.
    seconds
        In this time.
    unit
        Of ``number``.

    Returns
    -------
    str
        As in ``1350 jets/s``, or ``3.2 trainings/min`` of slow things.
    """
    each = number / max(seconds, 1e-9)
    return f"{each:.0f} {unit}/s" if each >= 10 else f"{60 * each:.3g} {unit}/min"


def counted(
    items: Iterable[T], total: int, title: str, console: Console, *, size: Callable[[T], int], unit: str = "jets"
) -> Generator[T, None, None]:
    """Pass items on and show the progress: how much of the total is done, the rate, and the time that is left.

    Parameters
    ----------
    items
        What to pass on.
    total
        Size of all of them.
    title
        What goes on.
    console
        Where to show it.
    size
        Of an item.
    unit
        Of the sizes.

    Yields
    ------
    T
    """
    done, started = 0, time.monotonic()
    with Bar(title, console) as bar:
        bar.show(0.0, f"{total} {unit}")
        for item in items:
            yield item
            done += size(item)
            bar.show(done / max(total, 1), f"{done} of {total} {unit}, {rate(done, time.monotonic() - started, unit)}")
