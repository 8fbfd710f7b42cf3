"""A processor that takes its time, so that something can happen to its worker meanwhile."""

import time
from typing import Any

import awkward as ak

from processors.embed import EmbedProcessor


class SlowProcessor(EmbedProcessor):
    """EmbedProcessor with a second of rest per chunk."""

    def process(self, events: ak.Array) -> dict[str, Any]:
        time.sleep(1)
        return super().process(events)
