"""Output folders: one run at a time, of one kind, and nothing removed that the project did not make."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import fsspec

from jepa_coffea.errors import FolderError, StorageError
from jepa_coffea.files import storage_problem, write_text, writing

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
        about = {"kind": kind, "host": socket.gethostname(), "pid": os.getpid(), "began": _now()}
        with writing(path / MARK):  # without a buffer, that a full disk would refuse once more when the file is closed
            os.ftruncate(file.fileno(), 0)
            os.write(file.fileno(), json.dumps(about).encode())
        yield path


def filesystem(url: str) -> tuple[Any, str]:
    """What reads and writes at a URL.

    Parameters
    ----------
    url
        Such as ``root://host//folder``.

    Returns
    -------
    tuple
        The file system of fsspec, and the path in it.

    Raises
    ------
    StorageError
        If nothing is installed for URLs of this kind, or the server does not answer.
    """
    try:
        files, path = fsspec.url_to_fs(url)
    except (ValueError, ImportError, OSError) as error:
        msg = f"{url} cannot be used ({error})"
        raise StorageError(msg) from None
    return files, str(path)


@contextmanager
def working_at(url: str, kind: str) -> Iterator[str]:
    """Have a folder at a URL for one run, as far as that can be had there: marked, but not locked.

    Parameters
    ----------
    url
        Of the folder.
    kind
        What it will hold; a folder that is marked as something else is refused.

    Yields
    ------
    str
        The URL. During the block the mark there names this process; a run that was killed leaves its name there, which
        the next one warns of where it cannot look whether that process is alive.

    Raises
    ------
    FolderError
        If another process of this machine works there, or it holds something else.
    StorageError
        If it cannot be written.
    """
    files, path = filesystem(url)
    mark = f"{path}/{MARK}"
    try:
        files.makedirs(path, exist_ok=True)
        before = _parsed(files.cat_file(mark)) if files.exists(mark) else {}
        if before.get("kind", kind) != kind:
            msg = f"{url} holds a folder of kind {before['kind']!r}, not {kind!r}; choose another folder"
            raise FolderError(msg)
        _require_nobody(before, url)
        about = {"kind": kind, "host": socket.gethostname(), "began": _now()}
        files.pipe_file(mark, json.dumps({**about, "pid": os.getpid()}).encode())
        try:
            yield url
        finally:
            files.pipe_file(mark, json.dumps({**about, "ended": _now()}).encode())
    except OSError as error:
        msg = f"{url} cannot be used ({error})"
        raise StorageError(msg) from None


def _require_nobody(mark: dict[str, Any], url: str) -> None:
    """Raise if the process that a mark names is alive; warn if that cannot be seen from here."""
    who = f"process {mark.get('pid')} on {mark.get('host')} since {mark.get('began')}"
    if "pid" not in mark or mark["pid"] == os.getpid():
        return
    if mark.get("host") != socket.gethostname():
        warnings.warn(f"{url} was in use by {who}, which did not say that it ended; does it still run?", stacklevel=5)
    elif Path(f"/proc/{mark['pid']}").exists():
        msg = f"{url} is in use by {who}; wait for it, or choose another folder"
        raise FolderError(msg)


def fresh_folder(folder: Path, kind: str) -> Path:
    """An empty folder for what is made anew, such as the plots of a hunt; :func:`finished_folder` ends the making.

    Parameters
    ----------
    folder
        What was made in it before is removed. Files that others put there since it was finished stay.
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
    StorageError
        If it cannot be written.
    """
    mark = folder / MARK
    strangers: list[str] = []
    with writing(mark):
        if not mark.is_file() and any(folder.iterdir()):
            msg = f"{folder} was not made by this project, and would be emptied for {kind}; move it away"
            raise FolderError(msg)
        there = _files_in(folder)
        known = _parsed(mark.read_bytes()) if mark.is_file() else {}
        ours = set(known.get("files", set(there) - set(known.get("strangers", ()))))
        strangers = [name for name in there if name not in ours]
        for name in ours.intersection(there):
            (folder / name).unlink()
        for path in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
            if not any(path.iterdir()):
                path.rmdir()
    write_text(mark, json.dumps({"kind": kind, "strangers": strangers}))
    return folder


def finished_folder(folder: Path) -> None:
    """Note which files were made in a folder, so that those that others add later are told from them.

    Parameters
    ----------
    folder
        Of :func:`fresh_folder`.
    """
    known = _parsed((folder / MARK).read_bytes())
    files = [name for name in _files_in(folder) if name not in known.get("strangers", ())]
    write_text(folder / MARK, json.dumps({**known, "files": files}))


def _files_in(folder: Path) -> list[str]:
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path != folder / MARK and (path.is_symlink() or not path.is_dir())
    )


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
    return _parsed(file.buffer.read())  # bytes: whatever they are, they are no error


def _parsed(text: str | bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError):  # a run was killed while it wrote this
        return {}


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
