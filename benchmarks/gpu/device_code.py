"""Device code in a shared library: which GPUs it is for, and a library with that of one GPU only.

nvcc keeps the code of a kernel for several architectures side by side in a container ("fat binary"), of which the
driver loads the part for the card that it finds. A container is a header of 16 bytes and entries one after the other,
each a header and its code. NVIDIA does not document the layout; whatever does not look like it is left alone here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = struct.pack("<I", 0xBA55ED50)
CONTAINER = struct.Struct("<IHHQ")
"""Magic number, version, size of this header, size of all entries."""

ENTRY = struct.Struct("<HHIQ")
"""Kind (1: PTX, 2: machine code), version, size of this header, size of the code."""

ARCHITECTURE = 28
"""Where the architecture (90 for compute capability 9.0) stands in the header of an entry, as 32 bits."""


@dataclass(frozen=True)
class Entry:
    """Code for one architecture."""

    start: int
    """Where its header begins in the library."""
    header: int
    """Bytes of the header."""
    code: int
    """Bytes of the code."""
    architecture: int

    @property
    def size(self) -> int:
        """Bytes of header and code.

        Returns
        -------
        int
            Bytes.
        """
        return self.header + self.code


def containers(library: bytes | bytearray) -> Iterator[tuple[int, list[Entry]]]:
    """Find the containers of device code in a library.

    Parameters
    ----------
    library
        The whole file.

    Yields
    ------
    tuple
        Where the container begins, and its entries.
    """
    place = library.find(MAGIC)
    while place >= 0:
        entries = _entries(library, place)
        if entries:
            yield place, entries
        place = library.find(MAGIC, entries[-1].start + entries[-1].size if entries else place + len(MAGIC))


def _entries(library: bytes | bytearray, place: int) -> list[Entry]:
    """The entries of the container at ``place``; none if that is not one."""
    if place + CONTAINER.size > len(library):
        return []
    _, _, header, size = CONTAINER.unpack_from(library, place)
    position, end, found = place + header, place + header + size, []
    if header != CONTAINER.size or end > len(library):
        return []
    while position < end:
        kind, _, head, code = ENTRY.unpack_from(library, position)
        entry = Entry(position, head, code, struct.unpack_from("<I", library, position + ARCHITECTURE)[0])
        if kind not in (1, 2) or head < ARCHITECTURE + 4 or position + entry.size > end:
            return []
        found.append(entry)
        position += entry.size
    return found


def keep_architecture(library: bytearray, architecture: int) -> int:
    """Remove the device code for other GPUs, in place: what is removed becomes zeros, which compress to nothing.

    Common kernels are built for every architecture of a library. Containers that lack the oldest of them hold special
    ones (in ONNX Runtime: fused attention, products in 4 and 8 bits, mixtures of experts, none of which an encoder of
    this project has); they are removed as well, also for ``architecture``. Such a container gets a small kernel for
    another architecture instead: a driver finds nothing to load in it, as on every GPU that a kernel was not built for.

    Parameters
    ----------
    library
        The whole file; changed.
    architecture
        What to keep, as in 90 for compute capability 9.0.

    Returns
    -------
    int
        Bytes of code that are left.

    Raises
    ------
    ValueError
        If no common kernel is built for ``architecture``.
    """
    found = list(containers(library))
    codes = [entry for _, entries in found for entry in entries]
    known = {entry.architecture for entry in codes}
    others = [entry for entry in codes if entry.architecture != architecture]
    least = min(others, key=lambda entry: entry.size, default=None)
    stranger = bytes(library[least.start : least.start + least.size]) if least else b""
    left = 0
    for place, entries in found:
        body = b""
        if {min(known), architecture} <= {entry.architecture for entry in entries}:
            kept = [entry for entry in entries if entry.architecture == architecture]
            body = b"".join(library[entry.start : entry.start + entry.size] for entry in kept)
            left += sum(entry.code for entry in kept)
        magic, version, header, size = CONTAINER.unpack_from(library, place)
        body = body or stranger
        if len(body) <= size:
            CONTAINER.pack_into(library, place, magic, version, header, len(body))
            library[place + header : place + header + size] = body + bytes(size - len(body))
    if not left:
        msg = f"no common device code for architecture {architecture}; the library has some for {sorted(known)}"
        raise ValueError(msg)
    return left
