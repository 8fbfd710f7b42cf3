"""What tells contents apart: hashes of files, bytes and settings, and the versions that numbers depend on."""

from __future__ import annotations

import hashlib
import json
import platform
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

NUMERICAL = (
    "python",
    "jepa-coffea",
    "coffea",
    "hist",
    "iminuit",
    "matplotlib",
    "mplhep",
    "numpy",
    "pyhf",
    "scikit-learn",
    "scipy",
)
"""Packages that the numbers of a search depend on."""


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file's content.

    Parameters
    ----------
    path
        Of the file.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bytes_hash(content: bytes) -> str:
    """SHA-256 of bytes.

    Parameters
    ----------
    content
        Any.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    return hashlib.sha256(content).hexdigest()


@cache
def versions(*packages: str) -> dict[str, str]:
    """Versions of installed packages, to be kept with the numbers that they made.

    Parameters
    ----------
    *packages
        Their names, ``python`` for that of the interpreter.

    Returns
    -------
    dict of str
        Name to version; ``not installed`` where there is none.
    """
    found = {}
    for package in packages:
        try:
            found[package] = platform.python_version() if package == "python" else metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def digest(*parts: Any) -> str:
    """Sixteen hexadecimal digits that change when any of the parts does.

    Parameters
    ----------
    *parts
        What JSON can write; anything else counts by its text.

    Returns
    -------
    str
    """
    return bytes_hash(json.dumps(parts, sort_keys=True, default=str).encode())[:16]
