"""Checksums of files and columns: CRC-32, which finds damage and is faster than the memory it is read from."""

from __future__ import annotations

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
        self._value = zlib.crc32(data, self._value)

    def hex(self) -> str:
        return f"crc32:{self._value:08x}"


def of_file(path: Path) -> str:
    """Checksum of a file."""
    checksum = Checksum()
    with path.open("rb") as file:
        while data := file.read(STEP):
            checksum.update(data)
    return checksum.hex()


def of_array(array: NDArray[Any]) -> str:
    """Checksum of the content of an array in C order."""
    checksum = Checksum()
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    for start in range(0, len(flat), STEP):
        checksum.update(flat[start : start + STEP])
    return checksum.hex()
