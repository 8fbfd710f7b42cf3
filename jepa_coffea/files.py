"""Files: written whole or not at all, sealed by a hash, named by any text, found by globs, told apart by content."""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import platform
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from jepa_coffea.errors import BadFileError, StorageError

PARTIAL = ".part"
"""Ending of a file that is being written; a file of this ending was left by an interruption."""

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

SEAL = b"jepa-coffea sha256 "
"""How a sealed file begins; then 64 hexadecimal digits, a line break, and the content that they are of."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG)


@contextmanager
def replacing(path: Path, needed: int | None = None) -> Iterator[Path]:
    """Write a file whole or not at all.

    Parameters
    ----------
    path
        Where the file shall be; its folder is made.
    needed
        Its size in bytes where it is known, for the message when the disk is full.

    Yields
    ------
    Path
        A path in the same folder to write to. After the block it is synchronised with the disk and takes the place of
        ``path``; after an exception it is removed, and ``path`` is as it was.

    Raises
    ------
    StorageError
        If the disk is full, or the folder must not be written.
    """
    temporary = path.with_name(f".{path.name[:200]}.{uuid.uuid4().hex[:12]}{PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        synchronise_folder(path.parent)
    except OSError as error:
        text = storage_problem(error, path, needed or (temporary.stat().st_size if temporary.exists() else None))
        if text is None:
            raise
        raise StorageError(text) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def storage_problem(error: OSError, path: Path, needed: int | None = None) -> str | None:
    """What to say of an error of writing a file.

    Parameters
    ----------
    error
        What was raised.
    path
        What was written.
    needed
        Its size in bytes, where it is known.

    Returns
    -------
    str or None
        None if the error is none of a full or refused disk.
    """
    if error.errno in FULL:
        folder = next((one for one in path.absolute().parents if one.is_dir()), Path("/"))
        more = "" if needed is None else f", needed at least {needed / 1e6:.1f} MB"
        return f"disk full: {path}: free {shutil.disk_usage(folder).free / 1e6:.1f} MB{more}; make room and run again"
    if error.errno in REFUSED:
        return f"{path} cannot be written ({error.strerror}); choose another folder, or mend its permissions"
    return None


def synchronise_folder(folder: Path) -> None:
    """Have the names in a folder on disk, so that a file that was put there survives a power cut.

    Parameters
    ----------
    folder
        Any.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all.

    Parameters
    ----------
    path
        Where.
    text
        What.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a binary file, whole or not at all.

    Parameters
    ----------
    path
        Where.
    content
        What.
    """
    with replacing(path, len(content)) as temporary:
        temporary.write_bytes(content)


def write_sealed(path: Path, content: bytes) -> None:
    """Write a file that begins with the hash of its content, whole or not at all.

    Parameters
    ----------
    path
        Where.
    content
        What.
    """
    write_bytes(path, SEAL + bytes_hash(content).encode() + b"\n" + content)


def read_sealed(path: Path) -> bytes:
    """The content of a file of :func:`write_sealed`.

    Parameters
    ----------
    path
        Of the file.

    Returns
    -------
    bytes

    Raises
    ------
    BadFileError
        If a bit of it changed since it was written, or it was written by something else.
    FileNotFoundError
        If there is none.
    """
    found = path.read_bytes()
    size = len(SEAL) + 64 + 1
    content = found[size:]
    if found[:size] != SEAL + bytes_hash(content).encode() + b"\n":
        msg = f"{path} is damaged: its content has not the hash that it was written with; delete it and run again"
        raise BadFileError(msg)
    return content


def sealed_line(text: str) -> str:
    """A line of a log with its hash.

    Parameters
    ----------
    text
        One line, without its end.

    Returns
    -------
    str
        The line for the file, without its end.
    """
    return f"{bytes_hash(text.encode('utf-8', 'surrogateescape'))[:16]} {text}"


def unsealed_line(line: str, where: str) -> str:
    """The text of a line of :func:`sealed_line`.

    Parameters
    ----------
    line
        As it is in the file, without its end.
    where
        File and line number, for the message.

    Returns
    -------
    str

    Raises
    ------
    BadFileError
        If a bit of it changed since it was written.
    """
    text = line[17:]
    if line != sealed_line(text):
        msg = f"{where} is damaged: the line has not the hash that it was written with"
        raise BadFileError(msg)
    return text


def quoted(name: str) -> str:
    """Any text as the name of one file or folder, such as a dataset ``/QCD/Run2018A/NANOAODSIM``.

    >>> quoted("/QCD/x"), quoted(".."), quoted("qcd_2018")
    ('%2FQCD%2Fx', '%2E%2E', 'qcd_2018')

    Parameters
    ----------
    name
        Not empty.

    Returns
    -------
    str
        Letters, digits, ``_ - . ~`` and ``%XX``; :func:`unquoted` gives the name back.

    Raises
    ------
    BadFileError
        If the name is empty, or too long for a file system.
    """
    text = quote(name, safe="", errors="surrogatepass")
    text = re.sub(r"^\.+|^_", lambda found: "".join(f"%{ord(one):02X}" for one in found[0]), text)
    if not 0 < len(text) <= 200:
        msg = f"{name!r}: expected a name of 1 to 200 characters as the name of a folder, got {len(text)}"
        raise BadFileError(msg)
    return text


def unquoted(text: str) -> str:
    """The name that :func:`quoted` made a file name of.

    Parameters
    ----------
    text
        Name of a file or folder.

    Returns
    -------
    str
    """
    return unquote(text, errors="surrogatepass")


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
