"""Checksums of files and columns: CRC-32, which finds damage and is faster than the memory it is read from."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEP = 1 << 22
"""Bytes read at once, so that a large file needs little memory."""


class Checksum:
    """The checksum of bytes that come in pieces."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes | memoryview) -> None:
        """Take more bytes in.

        Parameters
        ----------
        data
            What follows.
        """
        self._value = zlib.crc32(data, self._value)

    def hex(self) -> str:
        """The checksum of all bytes so far.

        Returns
        -------
        str
            As in ``crc32:0a1b2c3d``.
        """
        return f"crc32:{self._value:08x}"


def of_file(path: Path) -> str:
    """Checksum of a file.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    str
        As in ``crc32:0a1b2c3d``.
    """
    checksum = Checksum()
    with path.open("rb") as file:
        while data := file.read(STEP):
            checksum.update(data)
    return checksum.hex()


SAMPLES, SAMPLE = 16, 1 << 16
"""Stretches of a file that :func:`of_samples` looks at, and the bytes of each."""


def of_samples(path: Path) -> str:
    """Digest of a file's size and of stretches of its content, evenly spaced, the first and the last bytes among them.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    str
        32 hexadecimal digits; the whole content counts up to a megabyte.
    """
    size = path.stat().st_size
    content = hashlib.blake2b(str(size).encode(), digest_size=16)
    starts = {max(0, (size - SAMPLE) * k // (SAMPLES - 1)) for k in range(SAMPLES)}
    with path.open("rb") as file:
        for start in sorted(starts):
            file.seek(start)
            content.update(file.read(SAMPLE))
    return content.hexdigest()


def of_array(array: NDArray[Any]) -> str:
    """Checksum of the content of an array, in C order.

    Parameters
    ----------
    array
        Of any type and shape.

    Returns
    -------
    str
        As in ``crc32:0a1b2c3d``.
    """
    checksum = Checksum()
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    for start in range(0, len(flat), STEP):
        checksum.update(flat[start : start + STEP])
    return checksum.hex()
