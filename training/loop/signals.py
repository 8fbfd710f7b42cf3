"""Batch systems announce the end of a job with a signal; the loop then saves and leaves."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 75
"""Exit status of a run that was asked to stop before its end: EX_TEMPFAIL of sysexits.h, "try again"."""


class StopRequest:
    """Remembers the first signal that asked the run to stop."""

    name: str | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.name = self.name or signal.Signals(number).name


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Within, SIGTERM and SIGUSR1 (SLURM's warning) only set ``name`` of what is yielded; the loop looks at it."""
    request = StopRequest()
    before = {number: signal.signal(number, request) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
