"""The values of a tile: from the counters of its blocks, or from its elements' coordinates.

``KIND`` names a sampler (``sampling.py``), or ``words`` (the raw 32-bit words), ``constant``,
``diagonal`` (eye and dirac: 1 where the coordinates agree) or ``mask`` (sparse: writes zeros
where the mask's word is among the column's smallest, and nothing elsewhere).
"""

import triton
import triton.language as tl

from .addressing import coordinates
from .philox import philox4x32
from .sampling import sample4
from .sampling64 import constant, sample2


@triton.jit
def words(counter, block, seed):
    """The four words of the blocks with counters ``counter + block``.

    ``counter`` is a uint64 scalar.  Of uint32 blocks no sum may cross a multiple of 2**32: the
    counters' high half is then a scalar, which is two instructions a sample less.
    """
    if block.dtype == tl.uint64:
        counters = counter + block
        low = counters.to(tl.uint32)
        high = (counters >> 32).to(tl.uint32)
    else:
        low = counter.to(tl.uint32) + block
        high = (counter >> 32).to(tl.uint32)
    return philox4x32(low, high, seed)


@triton.jit
def interleave(counter, block, seed, constants, KIND: tl.constexpr, LANES: tl.constexpr):
    """The samples of blocks in order, flat: LANES from each of ``counter + block`` on.

    Joined so that the lanes of a thread are neighbours: of two blocks each before the other.
    Two samples a block are float64.
    """
    r0, r1, r2, r3 = words(counter, block, seed)
    if LANES == 2:
        x, y = sample2(r0, r1, r2, r3, constants, KIND)
        return tl.reshape(tl.join(x, y), [2 * block.numel])
    elif LANES == 4:
        a0, a1, a2, a3 = sample4(r0, r1, r2, r3, constants, KIND)
        return tl.reshape(tl.join(tl.join(a0, a2), tl.join(a1, a3)), [4 * block.numel])
    else:
        a0, a1, a2, a3 = sample4(r0, r1, r2, r3, constants, KIND)
        r0, r1, r2, r3 = words(counter, block + 1, seed)
        b0, b1, b2, b3 = sample4(r0, r1, r2, r3, constants, KIND)
        even = tl.join(tl.join(a0, b0), tl.join(a2, b2))
        odd = tl.join(tl.join(a1, b1), tl.join(a3, b3))
        return tl.reshape(tl.join(even, odd), [8 * block.numel])


@triton.jit
def tile_values(
    counter,
    block,
    first,
    lanes,
    seed,
    constants,
    period,
    channels,
    rows,
    centre,
    KIND: tl.constexpr,
    WIDE: tl.constexpr,
):
    """The values of the global elements ``first + lanes``.

    Every ``lanes.numel // block.numel`` of them begin at block ``counter + block``.
    """
    if KIND == "constant":
        if lanes.numel // block.numel == 2:
            return tl.full(lanes.shape, 0.0, tl.float64) + constant(constants, 0)
        else:
            return tl.full(lanes.shape, 0.0, tl.float32) + constants[0]
    elif KIND == "diagonal":
        o, i, k = coordinates(first, lanes, period, channels, rows, WIDE)
        return ((o == i) & (k == centre)).to(tl.float32)
    else:
        return interleave(counter, block, seed, constants, KIND, lanes.numel // block.numel)


@triton.jit
def rounded(values, DTYPE: tl.constexpr):
    """The values as DTYPE: what is float32 was rounded to that, and is rounded once more.

    AMD's compiler makes one instruction of a multiply-add and the conversion of its result
    (v_fma_mixlo_f16), and sources disagree on whether that rounds to float32 in between.  An
    empty piece of assembly, through which it cannot see, keeps the two apart and costs nothing.
    """
    if tl.target_info.is_hip() and values.dtype == tl.float32 and DTYPE.primitive_bitwidth == 16:
        values = tl.inline_asm_elementwise(
            "", "=v,0", [values], dtype=tl.float32, is_pure=True, pack=1
        )
    return values.to(DTYPE)


@triton.jit
def tile_zeroed(
    counter, block, first, lanes, seed, threshold, tie, columns, rows, inside, WIDE: tl.constexpr
):
    """Whether the elements of the tile are among the zeros of their column."""
    word = interleave(counter, block, seed, 0, "words", lanes.numel // block.numel)
    one = tl.full([], 1, tl.int64)
    row, column, _ = coordinates(first, lanes, one, columns, rows, WIDE)
    limit = tl.load(threshold + column, mask=inside, other=0)
    last = tl.load(tie + column, mask=inside, other=0)
    return (word < limit) | ((word == limit) & (row.to(tl.uint32) <= last))
