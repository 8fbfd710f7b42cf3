"""Any text as the name of a file, and files found by globs that may be names."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, unquote

from jepa_coffea.errors import BadFileError


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


def printable(text: str) -> str:
    """Any text as a terminal may show it: what would move its cursor or change its colours is spelled out.

    >>> printable("\x1b[31mred")
    '\\\\x1b[31mred'

    Parameters
    ----------
    text
        A name, a message; line breaks and tabs stay.

    Returns
    -------
    str
    """
    return "".join(one if one.isprintable() or one in "\n\t" else ascii(one)[1:-1] for one in text)


def unreadable(path: str | Path, error: Exception) -> str:
    """Why a file cannot be read, in one line.

    Parameters
    ----------
    path
        Path or URL of the file.
    error
        What the reader raised.

    Returns
    -------
    str
        That the file is empty, where it is; else the words of the reader.
    """
    # Of an empty file uproot says "expected Chunk of length 403, received 0 bytes".
    if Path(path).is_file() and Path(path).stat().st_size == 0:
        return "the file has 0 bytes: a job or copy that made it was cut off"
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


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
