"""Which elements ``sparse_`` sets to zero.

Element (row, column) has the key (word of the mask's stream at its global index, row); the
zeros of a column are its k smallest keys, k = ceil(sparsity * rows): exactly k, and a
uniformly random subset up to ties of 32-bit words, which go to the earlier row.  The k-th
smallest key of each column is found first, as a word and a row; an element is then compared
with it wherever it lies.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tritoninit.region import Region, Shape
from tritoninit.stream import Key

CHUNK = 1 << 18  # keys ranked at once: 2 MiB
MASK_STREAM = "sparse.mask"

Keys = npt.NDArray[np.uint64]
Words = npt.NDArray[np.uint32]
# words(first, count, rows, stride): row r of the result is elements first + r * stride on.
Generate = Callable[[int, int, int, int], Words]


class Thresholds(NamedTuple):
    """The k-th smallest (word, row) of every column."""

    word: Words
    row: Words


def mask_key(key: Key) -> Key:
    """The key of the mask's stream."""
    return key.fold_in(MASK_STREAM)


def columns_at_once(rows: int, columns: int) -> int:
    """How many columns are ranked together."""
    return max(1, min(columns, CHUNK // rows))


def columns_of(region: Region, shape: Shape) -> tuple[int, int]:
    """The range of the matrix's columns in which a box, or a flat run, of it lies."""
    if region.global_shape == shape:
        return region.offset[1], region.offset[1] + region.sizes[1]
    return 0, shape[1]


def window(rows: int, zeros: int, widths: float) -> tuple[int, int]:
    """Words between which the ``zeros``-th smallest of ``rows`` uniform words is expected.

    ``widths`` standard deviations of the binomial count on either side.
    """
    share = zeros / rows
    spread = widths * math.sqrt(share * (1 - share) / rows) + widths * widths / rows
    low = max(0, math.floor((share - spread) * 2**32))
    return low, min(2**32, math.ceil((share + spread) * 2**32) + 1)


def rank_columns(
    words: Generate, rows: int, columns: int, zeros: int, left: int, count: int
) -> Thresholds:
    """The thresholds of columns [left, left + count), at most ``columns_at_once`` of them.

    Of a column taller than a chunk only the words near the expected quantile are ranked, so
    that memory stays bounded.  Requires 0 < zeros <= rows < 2**32.
    """
    if rows * count <= CHUNK:
        keys = words(left, count, rows, columns).astype(np.uint64)
        keys <<= np.uint64(32)
        keys |= np.arange(rows, dtype=np.uint64)[:, None]
        chosen = np.partition(keys, zeros - 1, axis=0)[zeros - 1]
    else:
        chosen = _rank_tall(words, rows, columns, zeros, left)
    return Thresholds((chosen >> np.uint64(32)).astype(np.uint32), chosen.astype(np.uint32))


def _rank_tall(words: Generate, rows: int, columns: int, zeros: int, column: int) -> Keys:
    widths = 6.0
    while True:
        low, high = window(rows, zeros, widths)
        below = 0
        kept = []
        for top in range(0, rows, CHUNK):
            size = min(CHUNK, rows - top)
            chunk = words(top * columns + column, 1, size, columns)[:, 0].astype(np.uint64)
            below += int(np.count_nonzero(chunk < low))
            near = np.flatnonzero((chunk >= low) & (chunk < high))
            kept.append(chunk[near] << np.uint64(32) | (near + top).astype(np.uint64))
        candidates = np.concatenate(kept)
        rank = zeros - 1 - below
        if 0 <= rank < candidates.size:
            return np.partition(candidates, rank)[rank : rank + 1]
        widths *= 4


def is_zeroed(limits: Thresholds, words: Words, row: int, column: int) -> npt.NDArray[np.bool_]:
    """Which of the elements from (row, column) on, in row-major order, are zeros."""
    columns = limits.word.size
    result = np.empty(words.size, dtype=bool)
    done = 0
    while done < words.size:
        whole = (words.size - done) // columns if column == 0 else 0
        if whole:
            shape, part = (whole, columns), slice(0, columns)
        else:
            shape = (1, min(columns - column, words.size - done))
            part = slice(column, column + shape[1])
        size = shape[0] * shape[1]
        word = words[done : done + size].reshape(shape)
        rows = np.arange(row, row + shape[0], dtype=np.int64)[:, None]
        tied = (word == limits.word[part]) & (rows <= limits.row[part])
        result[done : done + size] = ((word < limits.word[part]) | tied).reshape(-1)
        done += size
        row += shape[0]
        column = 0
    return result
