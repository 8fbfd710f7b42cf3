"""Compiled loops over particles: decoding, checking, ordering, gathering and packing. All release the GIL."""

from __future__ import annotations

import numpy as np
from numba import njit

NO_PARTICLES = 1
NOT_FINITE = 2
NO_LABEL = 3


@njit(cache=True, nogil=True)
def decode(data, starts, stops, size, kind, offsets, first, out, column, integral):  # type: ignore[no-untyped-def]
    """Big-endian values of some jets from the bytes of a basket into a column.

    Parameters
    ----------
    data
        uint8, the bytes.
    starts, stops
        int64 [J], where the values of a jet lie in them.
    size
        Bytes of a value.
    kind
        0 for floating point, 1 for integer or bool.
    offsets
        int64, particle offsets of all jets.
    first
        Place of the first jet in ``offsets``.
    out
        float32 or int8 [P, C], gets the values.
    column
        Which column of ``out``.
    integral
        Whether ``out`` is int8.

    Returns
    -------
    int
        -1, or the place in ``offsets`` of a jet that has another number of values than the offsets say, or a value
        that ``out`` cannot hold.
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
    """What is wrong with each jet.

    Parameters
    ----------
    offsets
        int64 [J + 1].
    kinematics, displacement
        float32 [P, C].
    jets
        float32 [J, C].

    Returns
    -------
    ndarray
        uint8 [J]: ``NO_PARTICLES``, ``NOT_FINITE`` or 0.
    """
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
    """Sort the particles of each jet in place by descending pT, equal ones in the order they had.

    By insertion: nearly all jets are in order, and most others nearly.

    Parameters
    ----------
    offsets
        int64 [J + 1].
    kinematics, identity, displacement
        Columns of particles, [P, C], sorted in place.
    subjet
        int8 [P], sorted likewise, or empty.
    """
    momentum, kind, track = np.empty(4, np.float32), np.empty(6, np.int8), np.empty(4, np.float32)
    longest = 0
    for j in range(len(offsets) - 1):
        longest = max(longest, offsets[j + 1] - offsets[j])
    pt = np.empty(longest, np.float32)
    for j in range(len(offsets) - 1):
        start, n = offsets[j], offsets[j + 1] - offsets[j]
        for i in range(n):
            pt[i] = np.hypot(kinematics[start + i, 0], kinematics[start + i, 1])
        for i in range(1, n):
            if not pt[i] > pt[i - 1]:
                continue
            value, number = pt[i], subjet[start + i] if len(subjet) else np.int8(0)
            momentum[:], kind[:], track[:] = kinematics[start + i], identity[start + i], displacement[start + i]
            place = i
            while place > 0 and value > pt[place - 1]:
                pt[place] = pt[place - 1]
                kinematics[start + place] = kinematics[start + place - 1]
                identity[start + place] = identity[start + place - 1]
                displacement[start + place] = displacement[start + place - 1]
                if len(subjet):
                    subjet[start + place] = subjet[start + place - 1]
                place -= 1
            pt[place] = value
            kinematics[start + place], identity[start + place], displacement[start + place] = momentum, kind, track
            if len(subjet):
                subjet[start + place] = number


@njit(cache=True, nogil=True)
def gather(rows, offsets, column, new_offsets, out):  # type: ignore[no-untyped-def]
    """Copy the particles of some jets, one jet after the other.

    Parameters
    ----------
    rows
        int64, which jets.
    offsets
        int64 [J + 1], where their particles are in ``column``.
    column
        [P, C].
    new_offsets
        int64, where they go in ``out``.
    out
        [P', C], gets the particles.
    """
    for k in range(len(rows)):
        start, to = offsets[rows[k]], new_offsets[k]
        for i in range(new_offsets[k + 1] - to):
            for c in range(column.shape[1]):
                out[to + i, c] = column[start + i, c]


@njit(cache=True, nogil=True)
def pack(  # type: ignore[no-untyped-def]
    rows, offsets, kinematics, identity, displacement, subjet, particles, mask, with_identity, with_displacement
):
    """Copy the hardest particles of some jets into a padded batch.

    Parameters
    ----------
    rows
        int64 [B], which jets.
    offsets
        int64 [J + 1].
    kinematics, identity, displacement
        Columns of particles, [P, C].
    subjet
        int8 [P]; left out when empty.
    particles
        float32 [B, N, F], gets the particles; 0 where there is none.
    mask
        bool [B, N], gets where there is a particle.
    with_identity, with_displacement
        Whether F has room for them.
    """
    size = particles.shape[1]
    for b in range(len(rows)):
        start = offsets[rows[b]]
        n = min(offsets[rows[b] + 1] - start, size)
        for i in range(n):
            mask[b, i] = True
            for c in range(4):
                particles[b, i, c] = kinematics[start + i, c]
            place = 4
            if with_identity:
                for c in range(6):
                    particles[b, i, place + c] = identity[start + i, c]
                place += 6
            if with_displacement:
                for c in range(4):
                    particles[b, i, place + c] = displacement[start + i, c]
                place += 4
            if len(subjet):
                particles[b, i, place] = subjet[start + i]
        for i in range(n, size):
            mask[b, i] = False
            for c in range(particles.shape[2]):
                particles[b, i, c] = 0
