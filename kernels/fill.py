"""The kernel that fills one row of globally contiguous elements (``rows.py`` fills many)."""

import triton
import triton.language as tl

from .addressing import span_position
from .tiles import rounded, tile_values, tile_zeroed

# Launches differ in every integer: none of them may select a compiled variant.
UNSPECIALISED = [
    "first",
    "length",
    "seed",
    "offset",
    "period",
    "channels",
    "rows",
    "centre",
    "size1",
    "size2",
    "size3",
    "local0",
    "local1",
    "local2",
    "local3",
]
UNALIGNED = ["out", "threshold", "tie"]


@triton.jit(do_not_specialize=UNSPECIALISED, do_not_specialize_on_alignment=UNALIGNED)
def fill(
    out,
    first: tl.int64,
    length: tl.int64,
    seed: tl.uint64,
    offset: tl.uint64,
    constants,
    period: tl.int64,
    channels: tl.int64,
    rows: tl.int64,
    centre: tl.int64,
    threshold,
    tie,
    size1: tl.int64,
    size2: tl.int64,
    size3: tl.int64,
    local0: tl.int64,
    local1: tl.int64,
    local2: tl.int64,
    local3: tl.int64,
    KIND: tl.constexpr,
    BLOCK: tl.constexpr,
    STRIDED: tl.constexpr,
    ALIGNED: tl.constexpr,
    WIDE: tl.constexpr,
    CARRY: tl.constexpr,
):
    """Fill a row of ``length`` elements; a program takes ``BLOCK`` blocks of it.

    first: global index of the row's first element.  period, channels, rows, centre: of a
    diagonal (``Sampler.integers``); a mask's matrix has ``rows`` and, as channels, columns.
    The elements are contiguous in the buffer, or STRIDED along four axes.  ALIGNED promises
    that every tile begins at a multiple of 16 bytes, CARRY is False only if no block counter's
    high half differs from the first's, and WIDE is False only if positions fit 31 bits.
    """
    seed = seed.to(tl.uint64)
    length = length.to(tl.int64)
    period = period.to(tl.int64)
    channels = channels.to(tl.int64)
    rows = rows.to(tl.int64)
    start = first.to(tl.int64)
    # A block holds two float64 elements, and four of any other type.
    bits: tl.constexpr = out.dtype.element_ty.primitive_bitwidth
    SHIFT: tl.constexpr = 1 if bits == 64 and KIND != "mask" else 2
    TILE: tl.constexpr = BLOCK << SHIFT
    # The first tile begins at the block that holds the row's first element; for 16-bit
    # elements at the pair of blocks, where 16 bytes are stored at once.
    LANES: tl.constexpr = 8 if ALIGNED and bits == 16 else 1 << SHIFT
    at = tl.program_id(0).to(tl.int64) * TILE - (start & (LANES - 1))
    element = start + at
    counter = offset.to(tl.uint64) + (element >> SHIFT).to(tl.uint64)
    COUNTER: tl.constexpr = tl.uint64 if CARRY else tl.uint32
    block = tl.arange(0, TILE // LANES).to(COUNTER) * (LANES >> SHIFT)
    lanes = tl.arange(0, TILE)
    base = out + at
    if ALIGNED:
        base = tl.multiple_of(base, 16)
    inside = (lanes >= -at) & (lanes < length - at)
    pointers = base + lanes
    if STRIDED:
        if WIDE:
            place = at + lanes
        else:
            place = (at + lanes).to(tl.int32)
            size1 = size1.to(tl.int32)
            size2 = size2.to(tl.int32)
            size3 = size3.to(tl.int32)
        pointers = out + span_position(place, size1, size2, size3, local0, local1, local2, local3)
    if KIND == "mask":
        zeroed = tile_zeroed(
            counter, block, element, lanes, seed, threshold, tie, channels, rows, inside, WIDE
        )
        zeros = tl.zeros([TILE], out.dtype.element_ty)
        tl.store(pointers, zeros, mask=inside & zeroed)
    else:
        values = tile_values(
            counter,
            block,
            element,
            lanes,
            seed,
            constants,
            period,
            channels,
            rows,
            centre,
            KIND,
            WIDE,
        )
        values = rounded(values, out.dtype.element_ty)
        if STRIDED:
            tl.store(pointers, values, mask=inside)
        elif (at >= 0) & (at + TILE <= length):
            tl.store(pointers, values)  # unmasked, so that it is vectorised
        else:
            tl.store(pointers, values, mask=inside)
