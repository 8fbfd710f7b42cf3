"""What a timing depends on: the processor, the GPU, versions, the commit and the day."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent

COMMIT = "COMMIT"
"""Environment variable that names the commit where a copy of the files has no history."""


def machine(*packages: str) -> dict[str, Any]:
    """Describe this machine and the software that a benchmark ran with.

    Parameters
    ----------
    *packages
        Names of distributions whose versions matter. Those that are not installed are left out.

    Returns
    -------
    dict
        ``processor``, ``cores`` (that this process may use), ``gpu`` (empty without one), ``python``, ``packages`` with
        their versions, ``commit``, and ``date`` (UTC).
    """
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "gpu": gpu_name(),
        "python": platform.python_version(),
        "packages": _versions(packages),
        "commit": _commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def described(about: Mapping[str, Any]) -> str:
    """Give what :func:`machine` found as lines of text.

    Parameters
    ----------
    about
        From :func:`machine`, with further entries if there are any.

    Returns
    -------
    str
        ``name: value`` in a line each; empty values are left out.
    """
    texts = {
        name: ", ".join(f"{key} {entry}" for key, entry in value.items()) if isinstance(value, Mapping) else str(value)
        for name, value in about.items()
    }
    return "\n".join(f"{name}: {text}" for name, text in texts.items() if text)


def gpu_name() -> str:
    """Name the GPUs that the driver shows.

    Returns
    -------
    str
        As ``nvidia-smi`` calls them, joined by commas; empty without a driver.
    """
    try:
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        found = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    return ", ".join(line.strip() for line in found.splitlines() if line.strip())


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    vectors = next((line for line in lines if line.startswith("flags")), "")
    if not names:
        return platform.processor() or platform.machine()
    return names[0] + (" with AVX-512" if "avx512f" in vectors else "")


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    try:
        command = ["git", "describe", "--always", "--dirty"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return os.environ.get(COMMIT, "not a checkout")
    return done.stdout.strip() or os.environ.get(COMMIT, "not a checkout")


if __name__ == "__main__":
    print(described(machine("torch", "onnxruntime", "onnxruntime-gpu", "numpy", "coffea", "dask-cuda")))
