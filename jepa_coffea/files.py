"""Files: written whole or not at all, found by globs, told apart by hashes."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jepa_coffea.errors import BadFileError

PARTIAL = ".part"
"""Ending of a file that is being written; a file of this ending was left by an interruption."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file whole or not at all.

    Parameters
    ----------
    path
        Where the file shall be; its folder is made.

    Yields
    ------
    Path
        A path in the same folder to write to. After the block it is synchronised with the disk and takes the place of
        ``path``; after an exception it is removed, and ``path`` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}{PARTIAL}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        synchronise_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def synchronise_folder(folder: Path) -> None:
    """Have the names in a folder on disk, so that a file that was put there survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a binary file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def find_files(patterns: str | Path | Iterable[str | Path], what: str = "files") -> list[str]:
    """Paths that globs match, sorted within a glob, each once.

    Parameters
    ----------
    patterns
        Paths, globs (``**`` goes through folders) or URLs; a URL, and a path that exists, stand for themselves.
    what
        What the files are, for the message.

    Returns
    -------
    list of str

    Raises
    ------
    BadFileError
        If a pattern matches nothing.
    """
    found: dict[str, None] = {}
    for pattern in [patterns] if isinstance(patterns, str | Path) else patterns:
        text = str(pattern)
        literal = "://" in text or Path(text).exists()
        matches = [text] if literal else sorted(glob.glob(text, recursive=True))  # noqa: PTH207  absolute patterns, too
        if not matches:
            msg = f"{what}: nothing matches {text}"
            raise BadFileError(msg)
        found |= dict.fromkeys(matches)
    return list(found)


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file's content, 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(*parts: Any) -> str:
    """Sixteen hexadecimal digits that change when any of the parts does.

    Parameters
    ----------
    *parts
        What JSON can write; anything else counts by its text.
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]
