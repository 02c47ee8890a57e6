"""The kernel that fills many rows: a tile spans as many of them as it has room for.

A launch numbers its slots.  A slot is a 16-byte word of a row where every row is made of whole
ones, else one block of the stream; a row has ``row_slots`` of them, enough for its elements
wherever in a block they begin.  A program takes consecutive slots, whatever rows they belong
to: a row of n elements costs at most one block more than the ceil(n / 4) that it needs, of
float64 ceil(n / 2).
"""

import triton
import triton.language as tl

from .addressing import span_position
from .fill import UNALIGNED, UNSPECIALISED
from .tiles import rounded, tile_values, tile_zeroed

ROWS_UNSPECIALISED = [
    "slots",
    *(f"row_{what}" for what in ("slots", "inverse", "shift")),
    *(f"row_{what}{axis}" for what in ("size", "inverse", "shift") for axis in (1, 2, 3)),
    *(f"row_{what}{axis}" for what in ("stride", "local") for axis in (0, 1, 2, 3)),
]


@triton.jit
def quotient(index, inverse, shift):
    """index // size for uint32 index < 2**31 (Granlund and Montgomery, PLDI 1994).

    shift = ceil(log2(size)) and inverse = ceil(2**(31 + shift) / size), which is below 2**32:
    their product exceeds 2**(31 + shift) by less than size, so the error stays below 1 / size.
    """
    return (((index * 2).to(tl.uint64) * inverse) >> 32).to(tl.uint32) >> shift


@triton.jit
def advance(block, low, place, steps, stride, local, SHIFT: tl.constexpr):
    """Go on by ``steps`` times ``stride`` elements, and ``local`` in the buffer.

    The element is (block << SHIFT) + low.  All wrap modulo the width of their types.
    """
    block += steps.to(block.dtype) * (stride >> SHIFT).to(block.dtype)
    low += steps * (stride & ((1 << SHIFT) - 1)).to(tl.uint32)
    place += steps.to(place.dtype) * local.to(place.dtype)
    return block, low, place


@triton.jit
def walk(
    slot,
    block,
    low,
    place,
    at,
    sizes,
    inverses,
    shifts,
    strides,
    locals,
    AXES: tl.constexpr,
    SHIFT: tl.constexpr,
):
    """Where the rows of slots lie: (slot within the row, block, low, place), see ``advance``.

    ``at`` is where the program's first slot is: along the axes and in its row.  Each slot
    begins as many blocks and places after that as it would in one endless row; what the end of
    a row, or of an axis, is off from that is added as often as it is passed.
    """
    slot += at[3]
    ended = quotient(slot, inverses[3], shifts[3])
    within = slot - ended * sizes[3]
    block, low, place = advance(block, low, place, ended, strides[3], locals[3], SHIFT)
    if AXES > 1:
        ended = quotient(at[2] + ended, inverses[2], shifts[2])
        block, low, place = advance(block, low, place, ended, strides[2], locals[2], SHIFT)
        ended = quotient(at[1] + ended, inverses[1], shifts[1])
        block, low, place = advance(block, low, place, ended, strides[1], locals[1], SHIFT)
        ended = quotient(at[0] + ended, inverses[0], shifts[0])
        block, low, place = advance(block, low, place, ended, strides[0], locals[0], SHIFT)
    return within, block, low, place


@triton.jit(
    do_not_specialize=[*UNSPECIALISED, *ROWS_UNSPECIALISED],
    do_not_specialize_on_alignment=UNALIGNED,
)
def fill_rows(
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
    slots: tl.uint32,
    row_slots: tl.uint32,
    row_inverse: tl.uint32,
    row_shift: tl.uint32,
    row_size1: tl.uint32,
    row_size2: tl.uint32,
    row_size3: tl.uint32,
    row_inverse1: tl.uint32,
    row_inverse2: tl.uint32,
    row_inverse3: tl.uint32,
    row_shift1: tl.uint32,
    row_shift2: tl.uint32,
    row_shift3: tl.uint32,
    row_stride0: tl.int64,
    row_stride1: tl.int64,
    row_stride2: tl.int64,
    row_stride3: tl.int64,
    row_local0: tl.int64,
    row_local1: tl.int64,
    row_local2: tl.int64,
    row_local3: tl.int64,
    KIND: tl.constexpr,
    BLOCK: tl.constexpr,
    AXES: tl.constexpr,
    STRIDED: tl.constexpr,
    ALIGNED: tl.constexpr,
    PACKED: tl.constexpr,
    WIDE: tl.constexpr,
    CARRY: tl.constexpr,
):
    """Fill rows of ``length`` elements that lie along AXES (1, or up to 4) outer axes.

    Arguments as in ``fill``.  ALIGNED promises that every row is made of whole 16-byte words
    that begin at a block (of 16-bit elements, at a pair of blocks); WIDE is False only if what
    a program reaches lies within 2**31 elements of its first, here and in the global tensor,
    and CARRY is True where WIDE is.
    """
    seed = seed.to(tl.uint64)
    period = period.to(tl.int64)
    channels = channels.to(tl.int64)
    rows = rows.to(tl.int64)
    bits: tl.constexpr = out.dtype.element_ty.primitive_bitwidth
    SHIFT: tl.constexpr = 1 if bits == 64 and KIND != "mask" else 2
    TILE: tl.constexpr = BLOCK << SHIFT
    LANES: tl.constexpr = 8 if ALIGNED and bits == 16 else 1 << SHIFT
    GROUPS: tl.constexpr = TILE // LANES
    STEP: tl.constexpr = 0 if STRIDED else LANES
    COUNTER: tl.constexpr = tl.uint64 if CARRY else tl.uint32
    PLACE: tl.constexpr = tl.int64 if WIDE else tl.int32
    slot = tl.program_id(0).to(tl.uint32) * GROUPS
    row = quotient(slot, row_inverse, row_shift)
    skipped = slot - row * row_slots
    start = first.to(tl.int64)
    if AXES == 1:
        start += row.to(tl.int64) * row_stride3
        out += row.to(tl.int64) * row_local3
        at = (row, row, row, skipped)
    else:
        rest = quotient(row, row_inverse3, row_shift3)
        at3 = row - rest * row_size3
        row = quotient(rest, row_inverse2, row_shift2)
        at2 = rest - row * row_size2
        rest = quotient(row, row_inverse1, row_shift1)
        at1 = row - rest * row_size1
        start += rest.to(tl.int64) * row_stride0 + at1.to(tl.int64) * row_stride1
        start += at2.to(tl.int64) * row_stride2 + at3.to(tl.int64) * row_stride3
        out += rest.to(tl.int64) * row_local0 + at1.to(tl.int64) * row_local1
        out += at2.to(tl.int64) * row_local2 + at3.to(tl.int64) * row_local3
        at = (at1, at2, at3, skipped)
    origin = (start >> SHIFT) + skipped.to(tl.int64) * (LANES >> SHIFT)
    counter = offset.to(tl.uint64) + origin.to(tl.uint64)
    low = (start & ((1 << SHIFT) - 1)).to(tl.uint32)
    out += skipped.to(tl.int64) * STEP
    sizes = (row_size1, row_size2, row_size3, row_slots)
    inverses = (row_inverse1, row_inverse2, row_inverse3, row_inverse)
    shifts = (row_shift1, row_shift2, row_shift3, row_shift)
    strides = (
        row_stride0 - row_size1 * row_stride1,
        row_stride1 - row_size2 * row_stride2,
        row_stride2 - row_size3 * row_stride3,
        row_stride3 - row_slots.to(tl.int64) * LANES,
    )
    locals = (
        row_local0 - row_size1 * row_local1,
        row_local1 - row_size2 * row_local2,
        row_local2 - row_size3 * row_local3,
        row_local3 - row_slots.to(tl.int64) * STEP,
    )
    # The blocks of slots, and the same again for each element: of an aligned tile the compiler
    # computes both once.
    group = tl.arange(0, GROUPS).to(tl.uint32)
    block = group.to(COUNTER) * (LANES >> SHIFT)
    none = group.to(PLACE) * 0
    _, block, rest, _ = walk(
        group, block, low, none, at, sizes, inverses, shifts, strides, locals, AXES, SHIFT
    )
    lanes = tl.arange(0, TILE).to(tl.uint32)
    lane = lanes % LANES
    group = lanes // LANES
    element = group.to(COUNTER) * (LANES >> SHIFT)
    none = group.to(PLACE) * 0
    within, element, low, place = walk(
        group, element, low, none, at, sizes, inverses, shifts, strides, locals, AXES, SHIFT
    )
    within = within * LANES + lane
    inside = group < slots - slot
    if not ALIGNED:
        before = low & ((1 << SHIFT) - 1)
        block += (rest >> SHIFT).to(COUNTER)
        element += (low >> SHIFT).to(COUNTER)
        within -= before
        inside = inside & (within < length.to(tl.uint32))  # below 0 is above 2**31
        if not STRIDED:
            place -= before.to(PLACE)
    element = ((element << SHIFT) + lane).to(tl.int64 if CARRY else tl.int32)
    if STRIDED:
        position = within.to(tl.int32)
        size1 = size1.to(tl.int32)
        size2 = size2.to(tl.int32)
        size3 = size3.to(tl.int32)
        place += span_position(position, size1, size2, size3, local0, local1, local2, local3)
        pointers = out + place
    elif PACKED:
        pointers = out + lanes
    else:
        pointers = out + lanes + place
    if ALIGNED:
        pointers = tl.multiple_of(pointers, 16)
    if KIND == "mask":
        zeroed = tile_zeroed(
            counter,
            block,
            origin << SHIFT,
            element,
            seed,
            threshold,
            tie,
            channels,
            rows,
            inside,
            WIDE,
        )
        tl.store(pointers, tl.zeros([TILE], out.dtype.element_ty), mask=inside & zeroed)
    else:
        values = tile_values(
            counter,
            block,
            origin << SHIFT,
            element,
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
        if ALIGNED and slot + GROUPS <= slots:
            tl.store(pointers, values)
        else:
            tl.store(pointers, values, mask=inside)
