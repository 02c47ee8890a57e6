"""The kernel that fills many tensors: each program looks up its tile in a table of entries.

An entry is a run of contiguous memory that takes consecutive elements of a global tensor.  The
entries' tiles are numbered through; ``tiles[e]`` is the first of entry e.  ``groups[g]`` is the
entry of tile GROUP * g, and one more closes the list: a program needs two loads, and as many
halvings as there are entries in its group.  Of a large tensor that is none; a search among all
entries would be 16 dependent loads for 50,000 of them, some 3,000 cycles beside the 1,200 that
the samples of a tile of normals take, and an entry for every tile a table 16 times as long.

A row of ``words`` is (pointer, head, end, seed, counter); of a diagonal (period, channels, rows,
centre) follow, of a run of rows (slots, inverse, shift, jump).  The pointer is where the run's
first tile begins, which is ``head`` elements before the run itself, at a block of the stream; the
run ends at element ``end`` from there.  The counter is that of the first tile, but for its high
half: that is the high half of every block that the entry owns, for the host parts a run where it
changes.  Of a diagonal it is the global index of the first tile; of a constant, its bits.  A row
of ``constants`` is what a launch of the entry alone would be given.

A run of rows, a shard of a matrix's columns, holds whole 16-byte words of each, one row after the
other: each row has ``slots`` words, see ``rows.quotient`` for inverse and shift, and begins
``jump`` blocks behind the end of the one before it.
"""

import triton
import triton.language as tl

from .rows import quotient
from .tiles import rounded, tile_values


@triton.jit
def entry_of(tile, groups, tiles, GROUP: tl.constexpr):
    """The entry that a tile belongs to: the last that begins at or before it."""
    group = tile // GROUP
    low = tl.load(groups + group)
    high = tl.load(groups + group + 1)
    while low < high:
        middle = (low + high + 1) // 2
        begun = tl.load(tiles + middle) <= tile
        low = tl.where(begun, middle, low)
        high = tl.where(begun, high, middle - 1)
    return low


@triton.jit
def fill_table(
    groups,
    tiles,
    words,
    constants,
    DTYPE: tl.constexpr,
    KIND: tl.constexpr,
    WORDS: tl.constexpr,
    COUNT: tl.constexpr,
    TILE: tl.constexpr,
    GROUP: tl.constexpr,
    ALIGNED: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Fill a tile of ``TILE`` elements.

    ``words`` has WORDS columns and ``constants`` COUNT.  ALIGNED promises that the pointers are
    multiples of 16 bytes (of 16-bit elements, that ``head`` counts from a pair of blocks).  With
    ROWS every run is one of rows, aligned, without a head, of less than 2**31 words.
    """
    tile = tl.program_id(0)
    entry = entry_of(tile, groups, tiles, GROUP)
    begin = (tile - tl.load(tiles + entry)).to(tl.int64) * TILE
    row = words + entry.to(tl.int64) * WORDS
    base = tl.load(row).to(tl.pointer_type(DTYPE)) + begin
    if ALIGNED:
        base = tl.multiple_of(base, 16)
    head = tl.load(row + 1) - begin
    end = tl.load(row + 2) - begin
    seed = tl.load(row + 3).to(tl.uint64)
    counter = tl.load(row + 4)
    lanes = tl.arange(0, TILE)
    if KIND == "constant":
        values = tl.full([TILE], 0, DTYPE) + counter.to(DTYPE)
    else:
        # A block holds two float64 elements, and four of any other type.
        SHIFT: tl.constexpr = 1 if DTYPE.primitive_bitwidth == 64 else 2
        LANES: tl.constexpr = 8 if ALIGNED and DTYPE.primitive_bitwidth == 16 else 1 << SHIFT
        block = tl.arange(0, TILE // LANES).to(tl.uint32) * (LANES >> SHIFT)
        period, channels, rows, centre = 1, 1, 1, 0
        first = begin
        if KIND == "diagonal":
            first += counter
            period = tl.load(row + 5)
            channels = tl.load(row + 6)
            rows = tl.load(row + 7)
            centre = tl.load(row + 8)
        start = counter.to(tl.uint64)
        low = start.to(tl.uint32) + (begin >> SHIFT).to(tl.uint32)
        if ROWS:
            slots = tl.load(row + 5).to(tl.uint32)
            inverse = tl.load(row + 6).to(tl.uint32)
            shift = tl.load(row + 7).to(tl.uint32)
            jump = tl.load(row + 8).to(tl.uint32)
            slot = (begin // LANES).to(tl.uint32)
            passed = quotient(slot, inverse, shift)
            low += passed * jump
            within = slot - passed * slots + tl.arange(0, TILE // LANES).to(tl.uint32)
            block += quotient(within, inverse, shift) * jump
        start = (start >> 32 << 32) | low
        p = ()
        for at in tl.static_range(COUNT):
            p += (tl.load(constants + entry.to(tl.int64) * COUNT + at),)
        values = tile_values(
            start, block, first, lanes, seed, p, period, channels, rows, centre, KIND, False
        )
        values = rounded(values, DTYPE)
    if (head <= 0) & (end >= TILE):
        tl.store(base + lanes, values)  # unmasked, so that it is vectorised
    else:
        tl.store(base + lanes, values, mask=(lanes >= head) & (lanes < end))
