"""Output folders: one run at a time, of one kind, and nothing removed that the project did not make."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from jepa_coffea.errors import FolderError, StorageError
from jepa_coffea.files import storage_problem

MARK = ".jepa-coffea"
"""File that says what a folder is, and is locked while a run writes there."""


@contextmanager
def working_in(folder: str | Path, kind: str, *, among_others: bool = False) -> Iterator[Path]:
    """Have a folder for one run.

    Parameters
    ----------
    folder
        It is made if it does not exist.
    kind
        What it will hold, such as ``hunt``; a folder that is marked as something else is refused.
    among_others
        Whether the run only adds files, so that files of others may be there.

    Yields
    ------
    Path
        The folder, locked until the end of the block, or of this process, and marked.

    Raises
    ------
    FolderError
        If another run works there, it holds something else, or files of others where none may be.
    StorageError
        If it cannot be written.
    """
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        strangers = sorted(found.name for found in path.iterdir() if found.name != MARK)
        new = not (path / MARK).exists()
        file = (path / MARK).open("a+", encoding="utf-8")
    except OSError as error:
        raise StorageError(storage_problem(error, path) or f"{path} cannot be used: {error}") from None
    with file:
        _lock(file, path)
        holds = _content(file).get("kind", kind)
        if holds != kind:
            msg = f"{path} holds a folder of kind {holds!r}, not {kind!r}; choose another folder"
            raise FolderError(msg)
        if new and strangers and not among_others:
            (path / MARK).unlink()
            msg = (
                f"{path} holds files that are not of a {kind}, first {strangers[0]!r}; choose an empty folder, so that "
                "nothing of others is overwritten"
            )
            raise FolderError(msg)
        file.seek(0)
        file.truncate()
        json.dump({"kind": kind, "host": socket.gethostname(), "pid": os.getpid(), "began": _now()}, file)
        file.flush()
        yield path


def fresh_folder(folder: Path, kind: str) -> Path:
    """An empty folder for what is made anew, such as the plots of a hunt.

    Parameters
    ----------
    folder
        What is in it is removed if this function made it.
    kind
        What it will hold.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FolderError
        If it holds files, and was not made here.
    """
    mark = folder / MARK
    if folder.exists():
        if not mark.is_file() and any(folder.iterdir()):
            msg = f"{folder} was not made by this project, and would be emptied for {kind}; move it away"
            raise FolderError(msg)
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    mark.write_text(json.dumps({"kind": kind}))
    return folder


def _lock(file: TextIO, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        who = _content(file)
        msg = (
            f"{path} is in use by process {who.get('pid', '?')} on {who.get('host', '?')} since "
            f"{who.get('began', '?')}; wait for it, or choose another folder"
        )
        raise FolderError(msg) from None
    except OSError as error:
        warnings.warn(f"{path} cannot be locked ({error.strerror}); see that no other run writes there", stacklevel=4)


def _content(file: TextIO) -> dict[str, Any]:
    file.seek(0)
    try:
        return dict(json.loads(file.read()))
    except ValueError:  # a run was killed while it wrote this
        return {}


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
