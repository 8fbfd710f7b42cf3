"""Files, and lines of logs, that carry a hash of their content, so that one flipped bit is noticed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jepa_coffea.errors import BadFileError
from jepa_coffea.files.hashes import bytes_hash, digest
from jepa_coffea.files.writing import write_bytes

SEAL = b"jepa-coffea sha256 "
"""How a sealed file begins; then 64 hexadecimal digits, a line break, and the content that they are of."""


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
        msg = f"{path} is damaged: its content does not have the hash that it was written with; delete it and run again"
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
        msg = f"{where} is damaged: the line does not have the hash that it was written with"
        raise BadFileError(msg)
    return text


def sealed_document(content: Mapping[str, Any]) -> dict[str, Any]:
    """What a JSON file shall hold, with a hash of it as the entry ``seal``.

    Parameters
    ----------
    content
        What JSON can write.

    Returns
    -------
    dict
        As JSON gives it back, with ``seal``.
    """
    plain = json.loads(json.dumps(content))
    return {**plain, "seal": digest(plain)}


def unsealed_document(text: str | bytes, where: str | Path) -> dict[str, Any]:
    """What a JSON file of :func:`sealed_document` holds.

    Parameters
    ----------
    text
        Content of the file; a document without a seal, of an older version, is taken as it is.
    where
        The file, for the message.

    Returns
    -------
    dict
        Without ``seal``.

    Raises
    ------
    BadFileError
        If it is no JSON object, or changed since it was written.
    """
    try:
        content = json.loads(text)
        intact = isinstance(content, dict) and content.pop("seal", None) in (None, digest(content))
    except (ValueError, RecursionError) as error:
        msg = f"{where} is damaged ({error})"
        raise BadFileError(msg) from None
    if not intact:
        msg = f"{where} is damaged: its content does not have the hash that it was written with"
        raise BadFileError(msg)
    return dict(content)
