"""The kernel that fills a region of a tensor with samples of one kind.

``KIND`` names a sampler (``sampling.py``), or ``words`` (the raw 32-bit words), ``constant``,
``diagonal`` (eye and dirac: 1 where the coordinates agree) or ``mask`` (sparse: writes zeros
where the mask's word is among the column's smallest, and nothing elsewhere).
"""

import triton
import triton.language as tl

from .addressing import coordinates, span_position, split_row
from .philox import philox4x32
from .sampling import sample4


@triton.jit
def interleave(a, b, c, d):
    """[BLOCK] x 4 -> [4 * BLOCK] with a[0], b[0], c[0], d[0], a[1], ... in order."""
    return tl.reshape(tl.join(tl.join(a, c), tl.join(b, d)), [4 * a.shape[0]])


@triton.jit
def tile_words(counter, seed, BLOCK: tl.constexpr, CARRY: tl.constexpr):
    """The four words of BLOCK blocks from the 64-bit ``counter`` on.

    Without CARRY the high half of the counters is a scalar: two instructions a sample less.
    """
    lanes = tl.arange(0, BLOCK)
    if CARRY:
        counters = counter + lanes.to(tl.uint64)
        return philox4x32(counters.to(tl.uint32), (counters >> 32).to(tl.uint32), seed)
    else:
        low = counter.to(tl.uint32) + lanes.to(tl.uint32)
        return philox4x32(low, (counter >> 32).to(tl.uint32), seed)


@triton.jit
def tile_values(
    first,
    counter,
    seed,
    constants,
    period,
    channels,
    rows,
    centre,
    KIND: tl.constexpr,
    BLOCK: tl.constexpr,
    WIDE: tl.constexpr,
    CARRY: tl.constexpr,
):
    """The values of global elements [first, first + 4 * BLOCK); ``counter`` is their block."""
    if KIND == "constant":
        return tl.full([4 * BLOCK], 0.0, tl.float32) + constants[0]
    elif KIND == "diagonal":
        lanes = tl.arange(0, 4 * BLOCK)
        o, i, k = coordinates(first, lanes, period, channels, rows, WIDE)
        return ((o == i) & (k == centre)).to(tl.float32)
    else:
        r0, r1, r2, r3 = tile_words(counter, seed, BLOCK, CARRY)
        v0, v1, v2, v3 = sample4(r0, r1, r2, r3, constants, KIND)
        return interleave(v0, v1, v2, v3)


@triton.jit
def tile_zeroed(
    first,
    counter,
    seed,
    threshold,
    tie,
    columns,
    rows,
    inside,
    BLOCK: tl.constexpr,
    WIDE: tl.constexpr,
    CARRY: tl.constexpr,
):
    """Whether the elements of the tile are among the zeros of their column."""
    r0, r1, r2, r3 = tile_words(counter, seed, BLOCK, CARRY)
    word = interleave(r0, r1, r2, r3)
    one = tl.full([], 1, tl.int64)
    row, column, _ = coordinates(first, tl.arange(0, 4 * BLOCK), one, columns, rows, WIDE)
    limit = tl.load(threshold + column, mask=inside, other=0)
    last = tl.load(tie + column, mask=inside, other=0)
    return (word < limit) | ((word == limit) & (row.to(tl.uint32) <= last))


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
    "tiles",
    "row_size",
    "row_stride0",
    "row_stride1",
    "row_local0",
    "row_local1",
    "size1",
    "size2",
    "size3",
    "local0",
    "local1",
    "local2",
    "local3",
]


@triton.jit(
    do_not_specialize=UNSPECIALISED, do_not_specialize_on_alignment=["out", "threshold", "tie"]
)
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
    tiles: tl.int32,
    row_size: tl.int64,
    row_stride0: tl.int64,
    row_stride1: tl.int64,
    row_local0: tl.int64,
    row_local1: tl.int64,
    size1: tl.int64,
    size2: tl.int64,
    size3: tl.int64,
    local0: tl.int64,
    local1: tl.int64,
    local2: tl.int64,
    local3: tl.int64,
    KIND: tl.constexpr,
    BLOCK: tl.constexpr,
    ROWS: tl.constexpr,
    STRIDED: tl.constexpr,
    ALIGNED: tl.constexpr,
    WIDE: tl.constexpr,
    CARRY: tl.constexpr,
):
    """Fill rows of ``length`` elements; program p takes tile p % tiles of row p // tiles.

    first: global index of the first element of row 0.  A row number is decoded along two axes:
    ``row_size`` steps of (row_stride1, row_local1), then steps of (row_stride0, row_local0).
    period, channels, rows, centre: of a diagonal (``Sampler.integers``); a mask's matrix has
    ``rows`` and, as channels, columns.  Within a row the elements are contiguous, or STRIDED
    along four axes.  ALIGNED promises that every tile begins at a multiple of 16 bytes, CARRY is
    False only if no tile's block counters cross a multiple of 2**32, and WIDE is False only if
    positions fit 31 bits.
    """
    seed = seed.to(tl.uint64)
    length = length.to(tl.int64)
    period = period.to(tl.int64)
    channels = channels.to(tl.int64)
    rows = rows.to(tl.int64)
    start = first.to(tl.int64)
    tile = tl.program_id(0)
    if ROWS:
        row = (tile // tiles).to(tl.int64)
        tile = tile % tiles
        row, stride, local = split_row(row, row_size, row_stride1, row_local1)
        start += stride + row * row_stride0
        out += local + row * row_local0
    # A row's first tile begins at the block that holds the row's first element; for 16-bit
    # elements at the pair of blocks, so that 16 bytes are stored at once.
    LANES: tl.constexpr = 4 if out.dtype.element_ty.primitive_bitwidth == 32 else 8
    at = tile.to(tl.int64) * (4 * BLOCK) - (start & (LANES - 1))
    element = start + at
    counter = offset.to(tl.uint64) + (element >> 2).to(tl.uint64)
    lanes = tl.arange(0, 4 * BLOCK)
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
            element,
            counter,
            seed,
            threshold,
            tie,
            channels,
            rows,
            inside,
            BLOCK,
            WIDE,
            CARRY,
        )
        zeros = tl.zeros([4 * BLOCK], out.dtype.element_ty)
        tl.store(pointers, zeros, mask=inside & zeroed)
    else:
        values = tile_values(
            element,
            counter,
            seed,
            constants,
            period,
            channels,
            rows,
            centre,
            KIND,
            BLOCK,
            WIDE,
            CARRY,
        )
        values = values.to(out.dtype.element_ty)
        if STRIDED:
            tl.store(pointers, values, mask=inside)
        elif (at >= 0) & (at + 4 * BLOCK <= length):
            tl.store(pointers, values)  # unmasked, so that it is vectorised
        else:
            tl.store(pointers, values, mask=inside)
