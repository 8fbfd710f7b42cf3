"""What the user sees while a run goes on: a bar in a terminal, a line now and then in a batch log."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

SHOWN = ("loss", "lr", "jets_per_s", "val_loss", "accuracy", "rankme")
QUIET_SECONDS = 20.0


class Bar:
    """Progress from 0 to 1 with the latest numbers beside it and the time that is left."""

    def __init__(self, title: str, console: Console) -> None:
        self._console, self._title = console, title
        self._numbers: dict[str, float] = {}
        self._printed = 0.0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>5.1f} % {task.fields[numbers]}"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
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

    def update(self, step: int, progress: float, values: Mapping[str, float]) -> None:
        """Show ``values`` of ``step``."""
        self._numbers |= {name: values[name] for name in SHOWN if name in values}
        numbers = " ".join(f"{name} {value:.4g}" for name, value in self._numbers.items())
        self._progress.update(self._task, completed=min(progress, 1.0), numbers=f"step {step} {numbers}")
        now = time.monotonic()
        if not self._console.is_terminal and now - self._printed > QUIET_SECONDS:
            self._printed = now
            self.say(f"{100 * min(progress, 1):5.1f} %  step {step}  {numbers}")

    def say(self, message: str) -> None:
        """A line of its own, above the bar."""
        self._console.print(f"{self._title}: {message}", highlight=False, markup=False, soft_wrap=True)
