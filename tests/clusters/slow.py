"""Processors for faults: one takes its time, so that something can happen to its worker meanwhile, one dies."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import awkward as ak

from processors.embed import EmbedProcessor


class SlowProcessor(EmbedProcessor):
    """EmbedProcessor with a second of rest per chunk."""

    def process(self, events: ak.Array) -> dict[str, Any]:
        time.sleep(1)
        return super().process(events)


class DiesOnce(EmbedProcessor):
    """Kills its process after the first chunk is written and before anyone knows of it."""

    def __init__(self, *arguments: Any, trap: Path) -> None:
        super().__init__(*arguments)
        self.trap = trap

    def process(self, events: ak.Array) -> dict[str, Any]:
        output = super().process(events)
        if output["files"][events.metadata["dataset"]] and not self.trap.exists():
            self.trap.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return output
