"""Laying out many fills as the table of one launch (``kernels/table.py``), all entries at once.

An entry is a run: consecutive elements of a global tensor in contiguous memory.  Its first tile
begins at a block of the stream, so that every tile of an aligned run begins at 16 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tritoninit.backends.parts import LIMIT

GROUP = 16  # tiles for each entry of the map: a quarter of a byte a tile
WORD = 16  # bytes
LOW32 = np.uint64(0xFFFFFFFF)
BITS32 = np.uint64(32)

Column = npt.NDArray[np.uint64]


class Run(NamedTuple):
    """Elements [first, first + length) of a global tensor, at a byte address.

    ``seed`` and ``offset`` are the key's; of a constant, ``offset`` is its bits.  ``sampler``
    counts the samplers, with their rows, of the runs that are laid out together.
    """

    address: int
    first: int
    length: int
    seed: int
    offset: int
    sampler: int


class Table(NamedTuple):
    """The arguments of one launch: see ``kernels/table.py``."""

    groups: npt.NDArray[np.int32]
    tiles: npt.NDArray[np.int32]
    words: npt.NDArray[np.int64]
    constants: npt.NDArray[Any]
    tile: int
    aligned: bool
    rows: bool
    programs: int

    @property
    def arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """What has to be on the device."""
        return self[:4]


def tables(
    runs: Sequence[int],
    kind: str,
    constants: npt.NDArray[Any],
    integers: npt.NDArray[np.int64],
    itemsize: int,
    tile: int,
) -> Iterator[Table]:
    """The launches that fill runs of one kind of sampler and one size of element.

    One of the runs whose blocks lie at whole 16-byte words, and one of the others, if any.
    ``runs`` holds the numbers of each ``Run`` after those of the one before: 50,000 tuples would
    set off the garbage collector.  ``constants`` and ``integers`` (of a diagonal, or ``rows_of``)
    have a row for each sampler.  ``tile`` is the number of elements that a program takes.

    Raises:
        ValueError: the runs take more than 2**31 - 1 programs.
    """
    columns = np.array(runs, dtype=np.uint64).reshape(-1, len(Run._fields)).T.copy()
    address, first, length, *_ = columns
    word = np.uint64(WORD // itemsize)
    if kind == "constant":  # its values are everywhere the same: every run is aligned
        first[:] = address % WORD // np.uint64(itemsize)
    aligned = (address - first % word * np.uint64(itemsize)) % np.uint64(WORD) == 0
    for lanes, chosen in ((WORD // itemsize, aligned), (block_size(itemsize), ~aligned)):
        part = columns[:, chosen & (length > 0)]
        rows = kind not in ("constant", "diagonal") and integers.shape[1] > 0
        if kind not in ("constant", "diagonal") and not rows:
            part = carried(part, itemsize)
        if not part.size:
            continue
        which = part[-1].astype(np.int64)
        columns_of_words, ends = _words(part, kind, itemsize, lanes)
        tiles, groups, programs = tile_map(ends, tile)
        words = np.concatenate([columns_of_words.view(np.int64), integers[which]], axis=1)
        yield Table(groups, tiles, words, constants[which], tile, chosen is aligned, rows, programs)


def block_size(itemsize: int) -> int:
    """Elements of a block: two of float64, four of any other type."""
    return 2 if itemsize == 8 else 4


def rows_of(
    first: int, length: int, stride: int, rows: int, itemsize: int, offset: int
) -> tuple[int, int, int, int] | None:
    """What a table is told of a run of rows; None where the run cannot be in one.

    The rows are of ``length`` elements, ``stride`` elements apart in the global tensor.  Their
    blocks' counters, of a key with this offset, have to share their high half.
    """
    word, each = WORD // itemsize, block_size(itemsize)
    slots = length // word
    low = offset + first // each & int(LOW32)
    last = first + (rows - 1) * stride + length - 1
    if first % word or length % word or stride % word or rows * slots >= LIMIT:
        return None
    if low + last // each - first // each > int(LOW32):
        return None
    shift = (slots - 1).bit_length()  # see ``kernels.rows.quotient``
    return slots, -(-(1 << (31 + shift)) // slots), shift, (stride - length) // each


def _shift(itemsize: int) -> int:
    """log2 of the elements of a block."""
    return block_size(itemsize).bit_length() - 1


def carried(columns: Column, itemsize: int) -> Column:
    """The runs parted where the high half of their blocks' 64-bit counters changes."""
    _, first, length, _, offset, _ = columns
    shift = np.uint64(_shift(itemsize))
    low = offset + (first >> shift) & LOW32
    blocks = (first + length - np.uint64(1) >> shift) - (first >> shift)
    changes = (low + blocks >> BITS32).astype(np.int64)
    if not changes.any():
        return columns
    source = np.repeat(np.arange(changes.size), changes + 1)
    part = np.arange(source.size) - np.repeat(np.cumsum(changes + 1) - changes - 1, changes + 1)
    found = columns[:, source]
    # Part k > 0 begins at the k-th block with a counter whose low half is 0.
    begun = (part.astype(np.uint64) << BITS32) - low[source] + (first >> shift)[source] << shift
    begin = np.where(part > 0, begun, first[source])
    ends = (first + length)[source]
    ends[:-1] = np.where(part[1:] > 0, begin[1:], ends[:-1])
    found[0] += (begin - first[source]) * np.uint64(itemsize)
    found[1], found[2] = begin, ends - begin
    return found


def _words(columns: Column, kind: str, itemsize: int, lanes: int) -> tuple[Column, Column]:
    """The first columns of ``words``, and the third of them: where the runs end."""
    address, first, length, seed, offset, _ = columns
    head = first % np.uint64(lanes)
    origin = first - head
    if kind == "constant":
        counter = offset
    elif kind == "diagonal":
        counter = origin
    else:
        shift = np.uint64(_shift(itemsize))
        high = offset + (first >> shift) >> BITS32
        counter = high << BITS32 | (offset + (origin >> shift) & LOW32)
    end = head + length
    pointer = address - head * np.uint64(itemsize)
    return np.stack([pointer, head, end, seed, counter], axis=1), end


def tile_map(ends: Column, tile: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], int]:
    """(the first tile of every entry, the entry of every GROUP-th tile, the number of tiles).

    Entry e takes the ceil(ends[e] / tile) tiles that follow those of entry e - 1.  Its group's
    entry, and the next one's, bound the search for the entry of a tile.

    Raises:
        ValueError: more than 2**31 - 1 tiles.
    """
    count: npt.NDArray[Any] = (ends.astype(np.int64) + (tile - 1)) // tile
    after = np.cumsum(count)
    programs = int(after[-1])
    if programs >= 2**31:
        raise ValueError(f"a launch of {programs} programs exceeds {2**31 - 1}; fill it in parts")
    tiles = after - count
    wanted = np.arange(0, programs, GROUP)
    groups = np.searchsorted(tiles, wanted, side="right") - 1
    return tiles.astype(np.int32), np.append(groups, tiles.size - 1).astype(np.int32), programs
