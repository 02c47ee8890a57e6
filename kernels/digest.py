"""The kernel that sums the fingerprint's shares of a region's elements (``STREAM.md``).

Sums of integers do not depend on the order of the programs, so neither atomic additions nor the
shape of the launch show in them.
"""

import triton
import triton.language as tl

from .philox import rounds


@triton.jit
def shares(index, bits, key):
    """The two 64-bit words of elements with these int64 indices and unsigned bits."""
    wide = index.to(tl.uint64)
    low = bits.to(tl.uint32)
    if bits.dtype.primitive_bitwidth == 64:
        high = (bits >> 32).to(tl.uint32)
    else:
        high = tl.full([], 0, tl.uint32)
    r0, r1, r2, r3 = rounds(wide.to(tl.uint32), (wide >> 32).to(tl.uint32), low, high, key)
    first = r0.to(tl.int64) | (r1.to(tl.int64) << 32)
    second = r2.to(tl.int64) | (r3.to(tl.int64) << 32)
    return first, second


@triton.jit
def split_axis(begin, carried, size):
    """One axis of the positions begin + carried: (its index, the whole turns, begin's turns).

    ``begin`` is an int64 scalar, ``carried`` a tensor of small uint32.
    """
    place = (begin % size).to(tl.uint32) + carried
    small = size.to(tl.uint32)
    return (place % small).to(tl.int64), place // small, begin // size


@triton.jit
def positions(
    begin,
    lanes,
    size1,
    size2,
    size3,
    step0,
    step1,
    step2,
    step3,
    local0,
    local1,
    local2,
    local3,
    AXES: tl.constexpr,
):
    """(global, local) displacement of elements begin + lanes, decoded along the last AXES axes."""
    i3, turns, begin = split_axis(begin, lanes.to(tl.uint32), size3)
    element = i3 * step3
    place = i3 * local3
    if AXES > 2:
        i2, turns, begin = split_axis(begin, turns, size2)
        element += i2 * step2
        place += i2 * local2
    if AXES > 3:
        i1, turns, begin = split_axis(begin, turns, size1)
        element += i1 * step1
        place += i1 * local1
    last = begin + turns.to(tl.int64)
    if AXES == 2:
        return element + last * step2, place + last * local2
    elif AXES == 3:
        return element + last * step1, place + last * local1
    else:
        return element + last * step0, place + last * local0


# Launches differ in every integer: none of them may select a compiled variant.
UNSPECIALISED = [
    "entry",
    "first",
    "length",
    "skew",
    "key",
    "size1",
    "size2",
    "size3",
    "step0",
    "step1",
    "step2",
    "step3",
    "local0",
    "local1",
    "local2",
    "local3",
]


@triton.jit(do_not_specialize=UNSPECIALISED, do_not_specialize_on_alignment=["table", "data"])
def digest(
    table,
    data,
    entry: tl.int64,
    first: tl.int64,
    length: tl.int64,
    skew: tl.int64,
    key: tl.uint64,
    size1: tl.int64,
    size2: tl.int64,
    size3: tl.int64,
    step0: tl.int64,
    step1: tl.int64,
    step2: tl.int64,
    step3: tl.int64,
    local0: tl.int64,
    local1: tl.int64,
    local2: tl.int64,
    local3: tl.int64,
    AXES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Add the shares of ``length`` elements to the two words of row ``entry`` of ``table``.

    ``data`` begins ``skew`` elements after a multiple of 16 bytes and holds, as unsigned
    integers, the bits of the elements; the first one's global index is ``first``.  With AXES = 1
    they are contiguous in both; otherwise a position is decoded along AXES axes, the last one
    fastest, of ``size`` below 2**30, with ``step`` elements of the global tensor and ``local`` of
    the buffer.  A program takes one tile of BLOCK.
    """
    key = key.to(tl.uint64)
    first = first.to(tl.int64)
    length = length.to(tl.int64)
    lanes = tl.arange(0, BLOCK)
    at = tl.program_id(0).to(tl.int64) * BLOCK - skew.to(tl.int64)
    begin = tl.maximum(-at, 0).to(tl.int32)
    end = tl.minimum(length - at, BLOCK).to(tl.int32)
    inside = (lanes >= begin) & (lanes < end)
    full = (at >= 0) & (at + BLOCK <= length)
    if AXES > 1:
        element, place = positions(
            at,
            lanes,
            size1.to(tl.int64),
            size2.to(tl.int64),
            size3.to(tl.int64),
            step0,
            step1,
            step2,
            step3,
            local0,
            local1,
            local2,
            local3,
            AXES,
        )
        bits = tl.load(data + place, mask=inside, other=0)
    else:
        element = at + lanes
        base = tl.multiple_of(data + at, 16)
        if full:
            bits = tl.load(base + lanes)  # unmasked, so that it is vectorised
        else:
            bits = tl.load(base + lanes, mask=inside, other=0)
    first_word, second_word = shares(first + element, bits, key)
    if not full:
        first_word = tl.where(inside, first_word, 0)
        second_word = tl.where(inside, second_word, 0)
    table += 2 * entry.to(tl.int64)
    tl.atomic_add(table, tl.sum(first_word, 0))
    tl.atomic_add(table + 1, tl.sum(second_word, 0))
