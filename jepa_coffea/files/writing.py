"""Files that appear whole or not at all, and what to say of a disk that does not take them."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jepa_coffea.errors import StorageError

PARTIAL = ".part"
"""Ending of a file that is being written; a file of this ending was left by an interruption."""

FULL = (errno.ENOSPC, errno.EDQUOT)

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
        raise _explained(error, path, needed or (temporary.stat().st_size if temporary.exists() else None)) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say what a disk has against a file that is written bit by bit, such as a log; its folder is made.

    Parameters
    ----------
    path
        The file.

    Yields
    ------
    None

    Raises
    ------
    StorageError
        In place of the error in the block, if the disk is full, or the folder must not be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise _explained(error, path) from None


def _explained(error: OSError, path: Path, needed: int | None = None) -> Exception:
    """A storage error, or the same where it is no problem of the disk."""
    text = storage_problem(error, path, needed)
    return error if text is None else StorageError(text)


def storage_problem(error: OSError, path: Path | None, needed: int | None = None) -> str | None:
    """What to say of an error of writing a file.

    Parameters
    ----------
    error
        What was raised.
    path
        What was written; None where the error says no name.
    needed
        Its size in bytes, where it is known.

    Returns
    -------
    str or None
        None if the error is none of a full or refused disk.
    """
    if path is None:
        return f"disk full ({error.strerror}); make room and run again" if error.errno in FULL else None
    if error.errno in FULL:
        folder = next((one for one in path.absolute().parents if one.is_dir()), Path("/"))
        more = "" if needed is None else f", needed at least {_size(needed)}"
        return f"disk full: {path}: free {_size(shutil.disk_usage(folder).free)}{more}; make room and run again"
    if error.errno == errno.EFBIG:
        return f"{path} cannot be written: it is larger than files may be here; see `ulimit -f`, and run again"
    if error.errno in REFUSED:
        return f"{path} cannot be written ({error.strerror}); choose another folder, or mend its permissions"
    return None


def _size(number: int) -> str:
    return f"{number / 1e3:.1f} kB" if number < 1e6 else f"{number / 1e6:.1f} MB"


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
