"""The thresholds below which ``sparse_`` writes zeros, found for many columns at once.

Each element has a key: its 32-bit word of the mask's stream, then its row.  The k smallest
keys of a column are its zeros.  The k-th smallest word is found bit by bit, by counting; the
rows that share it are then taken in order.  Nothing is stored but the answer.
"""

import triton
import triton.language as tl

from .philox import philox4x32


@triton.jit
def element_words(element, seed, offset):
    """The 32-bit words of arbitrary elements: one block each, the lane selected."""
    counter = offset + (element >> 2).to(tl.uint64)
    r0, r1, r2, r3 = philox4x32(counter.to(tl.uint32), (counter >> 32).to(tl.uint32), seed)
    lane = element & 3
    return tl.where(lane < 2, tl.where(lane == 0, r0, r1), tl.where(lane == 2, r2, r3))


@triton.jit(do_not_specialize=["rows", "columns", "left", "end", "zeros", "seed", "offset"])
def column_thresholds(
    threshold,
    tie,
    rows: tl.int64,
    columns: tl.int64,
    left: tl.int64,
    end: tl.int64,
    zeros: tl.int64,
    seed: tl.uint64,
    offset: tl.uint64,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """threshold[c]: the ``zeros``-th smallest word of column c; tie[c]: the last row that has it
    and is among the ``zeros`` smallest keys; of left <= c < end."""
    seed = seed.to(tl.uint64)
    offset = offset.to(tl.uint64)
    rows = rows.to(tl.int64)
    columns = columns.to(tl.int64)
    zeros = zeros.to(tl.int64)
    column = left.to(tl.int64) + tl.program_id(0).to(tl.int64) * COLUMNS + tl.arange(0, COLUMNS)
    inside = column < end
    limit = tl.zeros([COLUMNS], tl.uint32)
    smaller = tl.zeros([COLUMNS], tl.int64)
    bit = tl.full([], 0x80000000, tl.uint32)
    # limit grows to the largest word with fewer than ``zeros`` words below it.
    while bit > 0:
        candidate = limit | bit
        count = tl.zeros([COLUMNS], tl.int64)
        top = rows * 0
        while top < rows:
            row = top + tl.arange(0, ROWS)
            element = row[:, None] * columns + column[None, :]
            word = element_words(element, seed, offset)
            below = (word < candidate[None, :]) & (row < rows)[:, None]
            count += tl.sum(below.to(tl.int32), 0).to(tl.int64)
            top += ROWS
        keep = count < zeros
        limit = tl.where(keep, candidate, limit)
        smaller = tl.where(keep, count, smaller)
        bit = bit >> 1
    wanted = zeros - smaller
    seen = tl.zeros([COLUMNS], tl.int64)
    last = tl.zeros([COLUMNS], tl.int64)
    top = rows * 0
    while top < rows:
        row = top + tl.arange(0, ROWS)
        element = row[:, None] * columns + column[None, :]
        word = element_words(element, seed, offset)
        equal = ((word == limit[None, :]) & (row < rows)[:, None]).to(tl.int64)
        rank = tl.cumsum(equal, 0) + seen[None, :]
        chosen = (equal > 0) & (rank == wanted[None, :])
        last += tl.sum(tl.where(chosen, row[:, None], 0), 0)
        seen += tl.sum(equal, 0)
        top += ROWS
    tl.store(threshold + column, limit, mask=inside)
    tl.store(tie + column, last.to(tl.uint32), mask=inside)
