"""The reference path: numpy alone, exact, always there."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from tritoninit import sampling, sampling64
from tritoninit.arith import U64
from tritoninit.digest import Digest
from tritoninit.philox import HALF, LOW, philox4x32, rounds
from tritoninit.recipe import Recipe
from tritoninit.region import Axis
from tritoninit.sampler import DType, Sampler
from tritoninit.sparse import Thresholds, is_zeroed, rank_columns
from tritoninit.stream import Key

Buffer = npt.NDArray[Any]
Starts = npt.NDArray[np.int64]
BLOCKS = 1 << 13  # a chunk: 32,768 elements, and some 3 MiB of intermediate arrays

FOUR = {
    "uniform": sampling.uniform4,
    "normal": sampling.normal4,
    "clamped_normal": sampling.clamped_normal4,
    "rational": sampling.rational4,
    "log": sampling.log4,
    "tail": sampling.tail4,
    "tails": sampling.tails4,
}
TWO = {
    "uniform": sampling64.uniform2,
    "normal": sampling64.normal2,
    "clamped_normal": sampling64.clamped_normal2,
    "tail": sampling64.tail2,
    "tails": sampling64.tails2,
}


def to_storage(values: Buffer, dtype: DType) -> Buffer:
    """float32 (or float64) samples as the bits that are stored: rounded once, to even."""
    if dtype in (DType.FLOAT32, DType.FLOAT64):
        return values
    if dtype is DType.FLOAT16:
        with np.errstate(over="ignore"):
            return values.astype(np.float16).view(np.uint16)
    bits = values.view(np.uint32)
    upper = (bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))) >> np.uint32(16)
    return upper.astype(np.uint16)


def block_words(key: Key, first_block: int, blocks: int) -> tuple[U64, U64, U64, U64]:
    """The words of consecutive blocks of a key."""
    start = np.uint64((key.offset + first_block) & 0xFFFFFFFFFFFFFFFF)
    counter = np.arange(blocks, dtype=np.uint64)
    counter += start  # wraps modulo 2**64, as the stream does
    return philox4x32(counter, np.uint64(key.seed))


def _fill_run(out: Buffer, first: int, key: Key, sampler: Sampler, dtype: DType) -> None:
    lanes = 2 if dtype.is_double else 4
    sample: Any = (TWO if dtype.is_double else FOUR)[sampler.kind]
    done = 0
    while done < out.size:
        block, skip = divmod(first + done, lanes)
        count = min(out.size - done, BLOCKS * lanes - skip)
        needed = -(-(skip + count) // lanes)
        samples = sample(*block_words(key, block, needed), sampler.params)
        values = np.stack(samples, axis=-1).reshape(-1)
        out[done : done + count] = to_storage(values[skip : skip + count], dtype)
        done += count


class NumpyBackend:
    """Fills contiguous rows of host memory with numpy."""

    name = "numpy"

    def writer(self, recipe: Recipe, shape: tuple[int, ...], dtype: DType) -> None:
        """None: numpy takes arrays; see ``host.HostBackend``."""

    def fill_rows(
        self,
        out: Buffer,
        rows: int,
        row_local: int,
        length: int,
        first: int,
        row_global: int,
        key: Key,
        sampler: Sampler,
        dtype: DType,
    ) -> None:
        """Fill ``rows`` runs of ``length`` elements; see ``host.HostBackend``."""
        for row in range(rows):
            at = row * row_local
            _fill_run(out[at : at + length], first + row * row_global, key, sampler, dtype)

    def fill_starts(
        self,
        out: Buffer,
        places: Starts,
        length: int,
        starts: Starts,
        key: Key,
        sampler: Sampler,
        dtype: DType,
    ) -> None:
        """Fill short rows at any places; see ``host.HostBackend``."""
        lanes = 2 if dtype.is_double else 4
        sample: Any = (TWO if dtype.is_double else FOUR)[sampler.kind]
        blocks = (length + 2 * lanes - 2) // lanes
        together = max(1, BLOCKS // blocks)
        column = np.arange(length, dtype=np.int64)
        for top in range(0, starts.size, together):
            start = starts[top : top + together, None]
            counter = (start // lanes + np.arange(blocks)).view(np.uint64) + np.uint64(key.offset)
            samples = sample(*philox4x32(counter.reshape(-1), np.uint64(key.seed)), sampler.params)
            made = to_storage(np.stack(samples, axis=-1).reshape(start.size, -1), dtype)
            owned = np.take_along_axis(made, start % lanes + column, axis=1)
            out[places[top : top + together, None] + column] = owned

    def words(
        self, key: Key, first: int, count: int, rows: int, stride: int
    ) -> npt.NDArray[np.uint32]:
        """[rows, count] 32-bit words; see ``host.HostBackend``."""
        start = first + np.arange(rows, dtype=np.int64)[:, None] * stride
        element = start + np.arange(count, dtype=np.int64)
        counter = (element >> 2).view(np.uint64) + np.uint64(key.offset)
        return np.choose(element & 3, philox4x32(counter, np.uint64(key.seed))).astype(np.uint32)

    def rank(
        self, key: Key, rows: int, columns: int, zeros: int, left: int, count: int
    ) -> Thresholds:
        """The thresholds of some columns; see ``host.HostBackend``."""
        return rank_columns(partial(self.words, key), rows, columns, zeros, left, count)

    def zero(self, out: Buffer, starts: Starts, limits: Thresholds, key: Key) -> None:
        """Write the zeros of ``sparse_``; see ``host.HostBackend``."""
        length = out.size // starts.size
        columns = limits.word.size
        for row, first in zip(out.reshape(-1, length), starts.tolist(), strict=True):
            drawn = self.words(key, first, length, 1, 0)[0]
            row[is_zeroed(limits, drawn, first // columns, first % columns)] = 0

    def digest_rows(self, data: Buffer, rows: Axis, inner: Axis, first: int, key: int) -> Digest:
        """The digest of elements along two axes; see ``host.HostBackend``."""
        total = Digest()
        for row in range(rows.size):
            for done in range(0, inner.size, BLOCKS):
                step = np.arange(done, min(done + BLOCKS, inner.size), dtype=np.int64)
                bits = data[row * rows.local + step * inner.local].astype(np.uint64)
                index = (first + row * rows.stride + step * inner.stride).astype(np.uint64)
                counter = (index & LOW, index >> HALF, bits & LOW, bits >> HALF)
                r0, r1, r2, r3 = rounds(*counter, np.uint64(key))
                total += Digest(int((r1 << HALF | r0).sum()), int((r3 << HALF | r2).sum()))
        return total
