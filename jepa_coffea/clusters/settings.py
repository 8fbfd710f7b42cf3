"""Settings of Dask's workers: one thread each, and next to nothing beside it on its core.

With Dask's defaults a worker spends 6 % of a core on watching itself, and one with large arrays another 5 to 10 % on
giving memory back to the system and asking for it again; ``docs/clusters.md`` has the measurements.
"""

from __future__ import annotations

from typing import Any

import dask
import distributed  # noqa: F401  its defaults are then among those of dask.config

MALLOC = {"MALLOC_TRIM_THRESHOLD_": str(8 << 20), "MALLOC_MMAP_THRESHOLD_": str(4 << 20)}
"""glibc keeps what is smaller than 4 MiB. Dask sets the first to 64 KiB, and then even arrays of 128 KiB go back."""

CAPS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"), "1")
"""A worker is one thread; the libraries under it must not each start as many as the machine has cores."""

INTERVALS = {
    "distributed.admin.system-monitor.interval": "1s",
    "distributed.admin.tick.interval": "200ms",
    "distributed.worker.memory.monitor-interval": "500ms",
    "distributed.worker.profile.interval": "100ms",
}
"""How often a worker looks at itself, 2 to 10 times less often than by default; its tasks take seconds."""

QUIET = {"distributed.worker": "critical", "distributed.worker.memory": "warning"}
"""What workers of this machine say in the terminal: nothing of a task that failed, which the client raises, once."""


def settings() -> dict[str, Any]:
    """Settings for :func:`dask.config.set`, without those that the user's own configuration decides.

    Returns
    -------
    dict
    """
    shipped = dask.config.merge(*dask.config.defaults)
    environ = "distributed.nanny.pre-spawn-environ"
    ours = INTERVALS | {f"{environ}.{name}": value for name, value in MALLOC.items()}
    return {
        key: value
        for key, value in ours.items()
        if dask.config.get(key, None) == dask.config.get(key, None, config=shipped)
    }


def here() -> dict[str, Any]:
    """The same for workers of this machine, which write to the terminal.

    Returns
    -------
    dict
    """
    logging = {} if dask.config.get("distributed.logging", None) else {"DASK_DISTRIBUTED__LOGGING": repr(QUIET)}
    return settings() | {f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in logging.items()}


def exports() -> list[str]:
    """The same for a shell that starts a worker, and the thread caps.

    Returns
    -------
    list of str
        Lines ``export NAME=value``.
    """
    values = CAPS | {_variable(key): value for key, value in settings().items()}
    return [f"export {name}={value}" for name, value in values.items()]


def _variable(key: str) -> str:
    name = key.rpartition(".")[2]
    return name if name in MALLOC else "DASK_" + key.upper().replace("-", "_").replace(".", "__")
