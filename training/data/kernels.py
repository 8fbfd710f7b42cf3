"""Compiled loops over particles: decoding, checking, ordering, gathering and packing. All release the GIL."""

from __future__ import annotations

import numpy as np
from numba import njit

NO_PARTICLES = 1
NOT_FINITE = 2
NO_LABEL = 3


@njit(cache=True, nogil=True)
def decode(data, starts, stops, size, kind, offsets, first, out, column, integral):  # type: ignore[no-untyped-def]
    """Big-endian values of some jets from the bytes of a basket into ``out[:, column]``.

    data: u8 bytes; starts, stops: i64 [J], where a jet's values lie in it; size: bytes per value; kind: 0 for floating
    point, 1 for integer or bool; offsets: i64, particle offsets of all jets; first: the first jet's place in it;
    out: f32 or i8 [P, C]; integral: whether out is i8. Returns -1, or the place in ``offsets`` of a jet that has
    another number of values than the offsets say, or a value that ``out`` cannot hold.
    """
    word = np.zeros(1, np.uint32)
    as_f32 = word.view(np.float32)
    as_i32 = word.view(np.int32)
    long_word = np.zeros(1, np.uint64)
    as_f64 = long_word.view(np.float64)
    for j in range(len(starts)):
        row = offsets[first + j]
        if stops[j] - starts[j] != (offsets[first + j + 1] - row) * size:
            return first + j
        place = starts[j]
        if kind == 0 and size == 4 and not integral:  # nearly all that there is to decode
            while place < stops[j]:
                word[0] = (
                    (np.uint32(data[place]) << np.uint32(24))
                    | (np.uint32(data[place + 1]) << np.uint32(16))
                    | (np.uint32(data[place + 2]) << np.uint32(8))
                    | np.uint32(data[place + 3])
                )
                out[row, column] = as_f32[0]
                row += 1
                place += 4
            continue
        if kind == 1 and size == 4:  # charge and flags
            while place < stops[j]:
                word[0] = (
                    (np.uint32(data[place]) << np.uint32(24))
                    | (np.uint32(data[place + 1]) << np.uint32(16))
                    | (np.uint32(data[place + 2]) << np.uint32(8))
                    | np.uint32(data[place + 3])
                )
                if integral and not (-128 <= as_i32[0] <= 127):
                    return first + j
                out[row, column] = as_i32[0]
                row += 1
                place += 4
            continue
        while place < stops[j]:
            bits = np.uint64(0)
            for b in range(size):
                bits = (bits << np.uint64(8)) | np.uint64(data[place + b])
            if kind == 1:
                shift = np.int64(64 - 8 * size)
                value = np.float64((np.int64(bits) << shift) >> shift)
            elif size == 4:
                word[0] = np.uint32(bits)
                value = np.float64(as_f32[0])
            else:
                long_word[0] = bits
                value = as_f64[0]
            if integral and not (-128 <= value <= 127 and value == np.floor(value)):
                return first + j
            out[row, column] = value
            row += 1
            place += size
    return -1


@njit(cache=True, nogil=True)
def inspect(offsets, kinematics, displacement, jets):  # type: ignore[no-untyped-def]
    """NO_PARTICLES, NOT_FINITE or 0 for each jet, u8 [J]."""
    found = np.zeros(len(jets), np.uint8)
    for j in range(len(jets)):
        if offsets[j] == offsets[j + 1]:
            found[j] = NO_PARTICLES
            continue
        # x - x is 0 for finite numbers, NaN for others: a sum of it needs no branch.
        total = np.float32(0)
        for i in range(offsets[j], offsets[j + 1]):
            for c in range(kinematics.shape[1]):
                total += kinematics[i, c] - kinematics[i, c]
            for c in range(displacement.shape[1]):
                total += displacement[i, c] - displacement[i, c]
        for c in range(jets.shape[1]):
            total += jets[j, c] - jets[j, c]
        if total != 0:
            found[j] = NOT_FINITE
    return found


@njit(cache=True, nogil=True)
def order(offsets, kinematics, identity, displacement, subjet):  # type: ignore[no-untyped-def]
    """Sort the particles of each jet in place by descending pT, equal ones in the order they had."""
    for j in range(len(offsets) - 1):
        start, stop = offsets[j], offsets[j + 1]
        pt = np.hypot(kinematics[start:stop, 0], kinematics[start:stop, 1])
        ordered = True
        for i in range(1, len(pt)):
            if pt[i] > pt[i - 1]:
                ordered = False
                break
        if ordered:
            continue
        new = np.argsort(-pt, kind="mergesort")
        kinematics[start:stop] = kinematics[start:stop][new]
        identity[start:stop] = identity[start:stop][new]
        displacement[start:stop] = displacement[start:stop][new]
        if len(subjet):
            subjet[start:stop] = subjet[start:stop][new]


@njit(cache=True, nogil=True)
def gather(rows, offsets, column, new_offsets, out):  # type: ignore[no-untyped-def]
    """Particles of the jets ``rows`` of ``column`` [P, C], one jet after the other, into ``out`` [P', C]."""
    for k in range(len(rows)):
        start, to = offsets[rows[k]], new_offsets[k]
        for i in range(new_offsets[k + 1] - to):
            for c in range(column.shape[1]):
                out[to + i, c] = column[start + i, c]


@njit(cache=True, nogil=True)
def pack(rows, offsets, kinematics, identity, displacement, subjet, particles, mask):  # type: ignore[no-untyped-def]
    """The hardest particles of the jets ``rows`` into ``particles`` f32 [B, N, F] and ``mask`` bool [B, N]."""
    size = particles.shape[1]
    for b in range(len(rows)):
        start = offsets[rows[b]]
        n = min(offsets[rows[b] + 1] - start, size)
        for i in range(n):
            mask[b, i] = True
            for c in range(4):
                particles[b, i, c] = kinematics[start + i, c]
            for c in range(6):
                particles[b, i, 4 + c] = identity[start + i, c]
            for c in range(4):
                particles[b, i, 10 + c] = displacement[start + i, c]
            if len(subjet):
                particles[b, i, 14] = subjet[start + i]
        for i in range(n, size):
            mask[b, i] = False
            for c in range(particles.shape[2]):
                particles[b, i, c] = 0
