"""What is seen of chunks on a cluster."""

from io import StringIO

import pytest
from rich.console import Console

from jepa_coffea import progress
from jepa_coffea.processing.watched_chunks import WatchedChunks
from jepa_coffea.progress import Bar


def test_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    said = StringIO()
    with Bar("Processing", Console(file=said, force_terminal=False, width=200)) as bar:
        watched = object.__new__(WatchedChunks)  # without a scheduler
        watched._bar, watched._began, watched._chunks = bar, now[0], 40
        watched._draw_bar(remaining=41, all=41, status="running")
        now[0] += 60
        watched._draw_bar(remaining=30, all=41, status="running")
    assert said.getvalue().strip() == "Processing:  25.0 %  10 of 40 chunks, 10 chunks/min  3 min left"
