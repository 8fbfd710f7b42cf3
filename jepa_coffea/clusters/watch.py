"""Watching a cluster while a run waits for it: when it is gone, the run ends with an error instead of hanging."""

from __future__ import annotations

import logging
import signal
import threading
import time
from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jepa_coffea.clusters.client import ClusterError

PATIENCE = 40.0
"""Seconds without scheduler, or without any worker where some were, until a cluster is given up."""


@contextmanager
def watching(client: Any) -> Iterator[None]:
    """Wait for a cluster only while it lives.

    Parameters
    ----------
    client
        Of Dask; None for this process. Batch systems replace what they lost, which may take hours, and are waited
        for; elsewhere workers that are all gone do not come back.

    Yields
    ------
    None

    Raises
    ------
    ClusterError
        In the block, if the scheduler does not answer, or all workers are gone, for longer than :data:`PATIENCE`.
    """
    if client is None:
        yield
        return
    gone: list[str] = []
    over = threading.Event()
    in_main = threading.current_thread() is threading.main_thread()
    # Before the work begins: workers that die at its first task must have been seen, or they are waited for.
    seen = bool(_workers(client))
    guard = threading.Thread(target=_watch, args=(client, over, gone, in_main, seen), daemon=True)
    guard.start()
    try:
        yield
    except BaseException as error:
        if gone or (isinstance(error, Exception) and _lost(client, error)):
            logging.getLogger("distributed.client").addFilter(_of_interest)
            msg = (
                f"{gone[0] if gone else 'the Dask scheduler is gone'}; what is finished is kept where the run has "
                "checkpoints, so start the cluster and run again"
            )
            raise ClusterError(msg) from None
        raise
    finally:
        over.set()
        guard.join(PATIENCE)


def _of_interest(record: logging.LogRecord) -> bool:
    """Whether a record is no traceback of the client's attempts to connect again, which end when it is closed."""
    return not record.exc_info or record.exc_info[0] is not CancelledError


def _lost(client: Any, error: Exception) -> bool:
    return client.status != "running" or type(error).__name__ in ("CancelledError", "FutureCancelledError")


def _workers(client: Any) -> list[Any] | None:
    """The workers that embed; None when the scheduler does not answer."""
    try:
        info = client.sync(client.scheduler.identity, callback_timeout=PATIENCE / 2)
    except Exception:  # noqa: BLE001  however it fails, it does not answer
        return None
    return [worker for worker in info["workers"].values() if "POOL" not in worker["resources"]]


def _watch(client: Any, over: threading.Event, gone: list[str], in_main: bool, seen: bool) -> None:
    """Look at a cluster at once, and every few seconds; interrupt the run when it is dead."""
    last = time.monotonic()
    waits = hasattr(getattr(client, "cluster", None), "job_script")
    while not over.is_set():
        there = _workers(client)
        if over.is_set():
            return
        if there is None:
            problem = "the Dask scheduler does not answer"
        else:
            seen = seen or bool(there)
            problem = "all Dask workers are gone, and none comes back" if seen and not there and not waits else ""
        if not problem:
            last = time.monotonic()
        elif time.monotonic() - last > PATIENCE:
            gone.append(problem)
            main = threading.main_thread().ident
            if in_main and main is not None:
                signal.pthread_kill(main, signal.SIGINT)
            return
        over.wait(PATIENCE / 8)
