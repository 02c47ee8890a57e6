"""Many short rows for numba: the blocks of all of them run through the vector registers.

A row of a few blocks fills no vector register, and its first and last block are partial.  So
the counters of many rows are listed first, all their samples are made in one loop, and each
row takes those it owns.  Listed in halves: a list of 64-bit counters takes 1.6 times as long.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from tritoninit import philox, sampling, sampling64
from tritoninit.backends.numba_ import U, _words4
from tritoninit.backends.numba_compile import compiled, compiled_scope, source_hash
from tritoninit.backends.numba_stores import STORES
from tritoninit.sampler import DType, Sampler
from tritoninit.stream import Key

Buffer = npt.NDArray[Any]
BLOCKS = 1 << 10  # made at once: 8 KiB of counters and 16 KiB of samples


def _starts4(out, places, starts, length, seed, offset, p):  # type: ignore[no-untyped-def]
    """Row r, out[places[r]:][:length], takes global elements starts[r] on; lanes of 4."""
    skip, packed = 0, True
    for r in range(starts.size):
        skip = max(skip, starts[r] & 3)
        packed &= places[r] == places[0] + r * length
    packed &= skip == 0 and length & 3 == 0
    blocks = (skip + length + 3) >> 2
    together = max(1, BLOCKS // blocks)
    low = np.empty(together * blocks, np.uint32)
    high = np.empty(together * blocks, np.uint32)
    apart = np.empty(0 if packed else 4 * together * blocks, out.dtype)
    for top in range(0, starts.size, together):
        begins = starts[top : top + together]
        counters(low, high, begins >> 2, blocks, offset)
        made = out[places[top] : places[top] + begins.size * length] if packed else apart
        for i in range(begins.size * blocks):
            counter = (U(high[U(i)]) << U(32)) | U(low[U(i)])
            a, b, c, d = philox4x32(counter, U(seed))
            v0, v1, v2, v3 = sample(a, b, c, d, p)
            j = U(4) * U(i)
            made[j] = store(v0)
            made[j + U(1)] = store(v1)
            made[j + U(2)] = store(v2)
            made[j + U(3)] = store(v3)
        if not packed:
            taken(out, places[top : top + together], length, made, begins & 3, 4 * blocks)


def _starts2(out, places, starts, length, seed, offset, p):  # type: ignore[no-untyped-def]
    """The same in lanes of 2 (float64)."""
    skip, packed = 0, True
    for r in range(starts.size):
        skip = max(skip, starts[r] & 1)
        packed &= places[r] == places[0] + r * length
    packed &= skip == 0 and length & 1 == 0
    blocks = (skip + length + 1) >> 1
    together = max(1, BLOCKS // blocks)
    low = np.empty(together * blocks, np.uint32)
    high = np.empty(together * blocks, np.uint32)
    apart = np.empty(0 if packed else 2 * together * blocks, out.dtype)
    for top in range(0, starts.size, together):
        begins = starts[top : top + together]
        counters(low, high, begins >> 1, blocks, offset)
        made = out[places[top] : places[top] + begins.size * length] if packed else apart
        for i in range(begins.size * blocks):
            counter = (U(high[U(i)]) << U(32)) | U(low[U(i)])
            a, b, c, d = philox4x32(counter, U(seed))
            v0, v1 = sample(a, b, c, d, p)
            j = U(2) * U(i)
            made[j] = v0
            made[j + U(1)] = v1
        if not packed:
            taken(out, places[top : top + together], length, made, begins & 1, 2 * blocks)


def _counters(low, high, first, blocks, offset):  # type: ignore[no-untyped-def]
    """The counters of ``blocks`` blocks from each of ``first`` on, in halves."""
    for r in range(first.size):
        base, row = U(offset) + U(first[r]), r * blocks
        for b in range(blocks):
            low[U(row + b)] = np.uint32(base + U(b))
            high[U(row + b)] = np.uint32((base + U(b)) >> U(32))


def _take(out, places, length, made, skips, width):  # type: ignore[no-untyped-def]
    """Copy from rows of ``made``, ``width`` wide, what the rows of ``out`` own."""
    for r in range(places.size):
        begin, place = U(skips[r] + r * width), U(places[r])
        for k in range(length):
            out[place + U(k)] = made[begin + U(k)]


def _zero(out, drawn, starts, columns, word_limit, row_limit):  # type: ignore[no-untyped-def]
    """Write zeros into rows next to each other where their words are not above the limits."""
    length = out.size // starts.size
    nothing = out.dtype.type(0)
    for r in range(starts.size):
        at = r * length
        row = starts[r] // columns
        column = starts[r] - row * columns
        for k in range(length):
            if column == columns:
                column = 0
                row += 1
            word, limit = drawn[U(at + k)], word_limit[U(column)]
            if word < limit or (word == limit and row <= row_limit[U(column)]):
                out[U(at + k)] = nothing
            column += 1


@lru_cache
def kernel(kind: str, dtype: DType) -> Callable[..., None]:
    """The compiled kernel that fills short rows with samples of one kind in one dtype."""
    module = sampling64 if dtype.is_double else sampling
    template = _starts2 if dtype.is_double else _starts4
    scope = {
        "U": U,
        "np": np,
        "BLOCKS": BLOCKS,
        "philox4x32": compiled_scope(philox)["philox4x32"],
        "store": numba.njit(STORES[dtype], forceinline=True),
        "counters": _helper(_counters),
        "taken": _helper(_take),
    }
    if kind == "words":
        scope["sample"] = numba.njit(_words4, forceinline=True)
    else:
        scope["sample"] = compiled_scope(module)[f"{kind}{2 if dtype.is_double else 4}"]
    return _bound(template, scope, f"starts_{kind}_{dtype.value}")


@lru_cache
def _helper(template: Any) -> Any:
    scope = {"U": U, "np": np}
    bound = types.FunctionType(template.__code__, scope, template.__name__)
    return numba.njit(error_model="numpy", boundscheck=False)(bound)


@lru_cache
def _zero_kernel() -> Callable[..., None]:
    return _bound(_zero, {"U": U}, "zero_rows")


def _bound(template: Any, scope: dict[str, Any], name: str) -> Callable[..., None]:
    bound = types.FunctionType(template.__code__, scope, template.__name__)
    bound.__qualname__ = f"{name}_{source_hash()}"
    bound.__module__ = __name__
    kernel: Callable[..., None] = compiled(bound)
    return kernel


def fill_starts(
    out: Buffer,
    places: npt.NDArray[np.int64],
    length: int,
    starts: npt.NDArray[np.int64],
    key: Key,
    sampler: Sampler,
    dtype: DType,
) -> None:
    """See ``host.HostBackend``."""
    seed, offset = np.uint64(key.seed), np.uint64(key.offset)
    kernel(sampler.kind, dtype)(out, places, starts, length, seed, offset, sampler.params)


def zero(out: Buffer, starts: npt.NDArray[np.int64], limits: Any, key: Key) -> None:
    """Write the zeros of ``sparse_`` into rows next to each other."""
    length = out.size // starts.size
    drawn = np.empty(out.size, np.uint32)
    places = np.arange(starts.size, dtype=np.int64) * length
    fill_starts(drawn, places, length, starts, key, Sampler("words"), DType.FLOAT32)
    _zero_kernel()(out, drawn, starts, limits.word.size, limits.word, limits.row)
