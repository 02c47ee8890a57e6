"""``sparse_`` for numba: ranking the keys of columns, and writing the zeros."""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from tritoninit import philox
from tritoninit.backends.host import Buffer, Write
from tritoninit.backends.numba_compile import compiled, compiled_scope, put, source_hash
from tritoninit.sampler import DType
from tritoninit.sparse import Thresholds, mask_key, rank_columns, window
from tritoninit.stream import Key

U = np.uint64
WIDTHS = 5.0  # standard deviations: one column in a million takes the general path
COLUMNS = 64  # ranked together; their candidates stay in the second-level cache
PIECE = 1 << 12  # words drawn at once: 16 KiB
MOST_CANDIDATES = 1 << 14  # a column; taller ones are ranked by ``sparse.rank_columns``


def _candidates(  # type: ignore[no-untyped-def]
    found, sizes, below, rows, columns, left, low, high, seed, offset
):
    """found[c, :sizes[c]]: the keys of column left + c with low <= word < high, below[c] less.

    ``sizes`` counts on where ``found`` is full, so that the caller sees it.
    """
    count = found.shape[0]
    room = found.shape[1]
    words = np.empty(4 * (count // 4 + 2), np.uint32)
    for row in range(rows):
        first = row * columns + left
        skip = first & 3
        base = U(offset) + U(first >> 2)
        for i in range(words.size // 4):  # apart from the branches, so that it is vectorised
            a, b, c, d = philox4x32(base + U(i), U(seed))
            j = U(4) * U(i)
            words[j] = a
            words[j + U(1)] = b
            words[j + U(2)] = c
            words[j + U(3)] = d
        for c in range(count):
            word = words[U(skip + c)]
            below[c] += word < low
            if low <= word < high:
                size = sizes[c]
                if size < room:
                    found[c, size] = (U(word) << U(32)) | U(row)
                sizes[c] = size + 1


def _zero(out, first, columns, word_limit, row_limit, seed, offset):  # type: ignore[no-untyped-def]
    """Write zeros where the element's key is not above its column's threshold."""
    words = np.empty(PIECE + 4, np.uint32)
    nothing = out.dtype.type(0)
    done = 0
    while done < out.size:
        row = np.uint32((first + done) // columns)
        column = (first + done) % columns
        count = min(columns - column, out.size - done, PIECE)
        segment = out[done : done + count]
        limits = word_limit[column : column + count]
        rows = row_limit[column : column + count]
        skip = (first + done) & 3
        base = U(offset) + U((first + done) >> 2)
        for i in range((skip + count + 3) >> 2):
            a, b, c, d = philox4x32(base + U(i), U(seed))
            j = U(4) * U(i)
            words[j] = a
            words[j + U(1)] = b
            words[j + U(2)] = c
            words[j + U(3)] = d
        drawn = words[skip : skip + count]
        for at in range(count):
            word, limit = drawn[U(at)], limits[U(at)]
            zeroed = (word < limit) | ((word == limit) & (row <= rows[U(at)]))
            segment[U(at)] = nothing if zeroed else segment[U(at)]
        done += count


def _zero_small(out, nothing, rows, columns, zeros, seed, offset):  # type: ignore[no-untyped-def]
    """Write the zeros of a whole matrix: of each column's keys the smallest are selected."""
    words = np.empty(4 * ((rows * columns + 3) // 4), np.uint32)
    for i in range(words.size // 4):
        a, b, c, d = philox4x32(U(offset) + U(i), U(seed))
        j = U(4) * U(i)
        words[j] = a
        words[j + U(1)] = b
        words[j + U(2)] = c
        words[j + U(3)] = d
    keys = np.empty(rows, np.uint64)
    last = zeros - 1
    for column in range(columns):
        for row in range(rows):
            keys[row] = (U(words[row * columns + column]) << U(32)) | U(row)
        left, right = 0, rows - 1
        while left < right:  # Hoare's FIND (Comm. ACM 4, 1961)
            pivot, i, j = keys[last], left, right
            while i <= j:
                while keys[i] < pivot:
                    i += 1
                while pivot < keys[j]:
                    j -= 1
                if i <= j:
                    keys[i], keys[j] = keys[j], keys[i]
                    i += 1
                    j -= 1
            if j < last:
                left = i
            if last < i:
                right = j
        for n in range(zeros):
            put(out, np.int64(keys[n] & U(0xFFFFFFFF)) * columns + column, nothing)


@lru_cache
def _compiled(template: types.FunctionType) -> Callable[..., None]:
    scope = {"U": U, "np": np, "PIECE": PIECE, "put": put}
    scope["philox4x32"] = compiled_scope(philox)["philox4x32"]
    bound = types.FunctionType(template.__code__, scope, template.__name__)
    bound.__qualname__ = f"{template.__name__}_{source_hash()}"
    bound.__module__ = __name__
    kernel: Callable[..., None] = compiled(bound)
    return kernel


def rank(
    words: Any, key: Key, rows: int, columns: int, zeros: int, left: int, count: int
) -> Thresholds:
    """As ``sparse.rank_columns``, which also takes the columns that do not fit."""
    low, high = window(rows, zeros, WIDTHS)
    room = int((high - low) / 2**32 * rows * 2) + 16
    if room > MOST_CANDIDATES:
        return rank_columns(words, rows, columns, zeros, left, count)
    result = Thresholds(np.empty(count, np.uint32), np.empty(count, np.uint32))
    for start in range(0, count, COLUMNS):
        width = min(COLUMNS, count - start)
        found = np.empty((width, room), np.uint64)
        sizes, below = np.zeros(width, np.int64), np.zeros(width, np.int64)
        _compiled(_candidates)(
            found,
            sizes,
            below,
            rows,
            columns,
            left + start,
            np.uint64(low),
            np.uint64(high),
            np.uint64(key.seed),
            np.uint64(key.offset),
        )
        for c in range(width):
            place = zeros - 1 - int(below[c])
            if 0 <= place < sizes[c] <= room:
                chosen = int(np.partition(found[c, : sizes[c]], place)[place])
                result.word[start + c], result.row[start + c] = chosen >> 32, chosen & 0xFFFFFFFF
            else:
                one = rank_columns(words, rows, columns, zeros, left + start + c, 1)
                result.word[start + c], result.row[start + c] = one.word[0], one.row[0]
    return result


def zero(out: Buffer, first: int, limits: Thresholds, key: Key) -> None:
    """Write the zeros among the elements [first, first + out.size) of the whole matrix."""
    _compiled(_zero)(
        out,
        first,
        limits.word.size,
        limits.word,
        limits.row,
        np.uint64(key.seed),
        np.uint64(key.offset),
    )


def writer(values: Write, shape: tuple[int, ...], zeros: int, dtype: DType) -> Write:
    """The values, then the zeros, of a small matrix; see ``host.HostBackend``."""
    kernel = _compiled(_zero_small)
    nothing = {2: np.uint16(0), 4: np.uint32(0), 8: np.uint64(0)}[dtype.itemsize]
    rows, columns = shape

    def write(out: int, length: int, seed: int, offset: int, *places: int) -> None:
        values(out, length, seed, offset, *places)
        mask = mask_key(Key(seed, offset))
        kernel(out, nothing, rows, columns, zeros, np.uint64(mask.seed), np.uint64(mask.offset))

    return write
