"""How many chunks of a run are done on a cluster, as its scheduler tells."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from distributed.diagnostics.progressbar import ProgressBar

from jepa_coffea.progress import Bar, rate


class WatchedChunks(ProgressBar):
    """Shows the chunks that have ended, their rate, and the time that is left.

    Parameters
    ----------
    futures
        Of the chunks. Only their keys are kept, so that outputs can be given up.
    bar
        Where to show it.
    """

    def __init__(self, futures: Sequence[Any], bar: Bar) -> None:
        super().__init__(futures, futures[0].client.scheduler.address, interval="1s")
        self._bar, self._began, self._chunks = bar, time.monotonic(), len(futures)

    async def follow(self) -> None:
        """Look once a second until all are done; a scheduler that is gone is noticed elsewhere."""
        with suppress(OSError):
            await self.listen()

    def _draw_bar(self, remaining: int, **_: Any) -> None:
        # Dask also counts what the chunks need, such as the processor, which is there before the first of them.
        done = max(self._chunks - remaining, 0)
        pace = rate(done, time.monotonic() - self._began, "chunks")
        self._bar.show(done / self._chunks, f"{done} of {self._chunks} chunks, {pace}")
