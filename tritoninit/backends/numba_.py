"""The fast host path: the functions of ``sampling.py`` compiled by numba.

The kernels release the GIL and are run on several threads by ``host.py``.  They are cached on
disk; a kernel's name ends in a hash of all the sources it was made from, so that a stale one
cannot be picked up.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba import types as nbt

from tritoninit import philox, sampling, sampling64
from tritoninit.backends.host import Buffer, Write
from tritoninit.backends.host_regions import Places
from tritoninit.backends.numba_compile import (
    compiled,
    compiled_scope,
    put,
    source_hash,
)
from tritoninit.backends.numba_stores import STORES
from tritoninit.digest import Digest
from tritoninit.recipe import Recipe, Sparse
from tritoninit.region import Axis
from tritoninit.sampler import DType, Sampler, lower
from tritoninit.sparse import Thresholds
from tritoninit.stream import Key

U = np.uint64


def _rows4(p, out, length, seed, offset, first, rows, row_local, row_global):  # type: ignore[no-untyped-def]
    """Rows of four-lane blocks; ``philox4x32``, ``sample`` and ``store`` are bound at compile."""
    for row in range(rows):
        at = row * row_local
        end = at + length
        index = first + row * row_global
        skip = index & 3
        block = offset + U(index >> 2)
        if skip:
            a, b, c, d = philox4x32(block, seed)
            v0, v1, v2, v3 = sample(a, b, c, d, p)
            if skip == 1 and at < end:
                put(out, at, store(v1))
                at += 1
            if skip <= 2 and at < end:
                put(out, at, store(v2))
                at += 1
            if at < end:
                put(out, at, store(v3))
                at += 1
            block += U(1)
        blocks = (end - at) >> 2
        for i in range(blocks):
            a, b, c, d = philox4x32(block + U(i), seed)
            v0, v1, v2, v3 = sample(a, b, c, d, p)
            j = at + 4 * i
            put(out, j, store(v0))
            put(out, j + 1, store(v1))
            put(out, j + 2, store(v2))
            put(out, j + 3, store(v3))
        at += 4 * blocks
        if at < end:
            a, b, c, d = philox4x32(block + U(blocks), seed)
            v0, v1, v2, v3 = sample(a, b, c, d, p)
            put(out, at, store(v0))
            if at + 1 < end:
                put(out, at + 1, store(v1))
            if at + 2 < end:
                put(out, at + 2, store(v2))


def _rows2(p, out, length, seed, offset, first, rows, row_local, row_global):  # type: ignore[no-untyped-def]
    """Rows of two-lane blocks (float64)."""
    for row in range(rows):
        at = row * row_local
        end = at + length
        index = first + row * row_global
        block = offset + U(index >> 1)
        if index & 1 and at < end:
            a, b, c, d = philox4x32(block, seed)
            put(out, at, sample(a, b, c, d, p)[1])
            at += 1
            block += U(1)
        blocks = (end - at) >> 1
        for i in range(blocks):
            a, b, c, d = philox4x32(block + U(i), seed)
            v0, v1 = sample(a, b, c, d, p)
            put(out, at + 2 * i, v0)
            put(out, at + 2 * i + 1, v1)
        at += 2 * blocks
        if at < end:
            a, b, c, d = philox4x32(block + U(blocks), seed)
            put(out, at, sample(a, b, c, d, p)[0])


def _words4(a: Any, b: Any, c: Any, d: Any, p: Any) -> Any:
    return np.uint32(a), np.uint32(b), np.uint32(c), np.uint32(d)


@lru_cache
def kernel(kind: str, dtype: DType, constants: int) -> Callable[..., None]:
    """The compiled kernel that fills rows with samples of one kind in one dtype.

    Called as (params, address, length, seed, offset, first, rows, row_local, row_global), where
    ``params`` is a tuple of ``constants`` floats.
    """
    module = sampling64 if dtype.is_double else sampling
    template = _rows2 if dtype.is_double else _rows4
    scope = {
        "U": U,
        "put": put,
        "philox4x32": compiled_scope(philox)["philox4x32"],
        "store": numba.njit(STORES[dtype], forceinline=True),
    }
    if kind == "words":
        scope["sample"] = numba.njit(_words4, forceinline=True)
    else:
        scope["sample"] = compiled_scope(module)[f"{kind}{2 if dtype.is_double else 4}"]
    bound = types.FunctionType(template.__code__, scope, template.__name__)
    bound.__qualname__ = f"{kind}_{dtype.value}_{source_hash()}"
    bound.__module__ = __name__
    zero = np.float64(0) if dtype.is_double else np.float32(0)
    params = numba.typeof(constants * (zero,))  # type: ignore[no-untyped-call]
    places = (nbt.intp, nbt.int64, nbt.uint64, nbt.uint64, *4 * (nbt.int64,))
    # The entry point takes Python's numbers by its own signature; the dispatcher would look at
    # the type of every argument, which takes as long as 200 normals.
    entry: Callable[..., None] = compiled(bound).compile(nbt.void(params, *places))
    return entry


def address_of(out: Buffer) -> int:
    """Where an array's memory begins."""
    address: int = out.__array_interface__["data"][0]
    return address


class NumbaBackend:
    """Fills contiguous rows of host memory with compiled kernels."""

    name = "numba"

    def writer(self, recipe: Recipe, shape: tuple[int, ...], dtype: DType) -> Write | None:
        """The kernel with its constants; see ``host.HostBackend``."""
        sampler = lower(recipe, shape, dtype)
        if sampler.kind == "constant":
            return None
        params = tuple(float(value) for value in sampler.params)
        write = partial(kernel(sampler.kind, dtype, len(params)), params)
        if isinstance(recipe, Sparse) and recipe.zeros(shape[0]):
            from tritoninit.backends import numba_sparse

            return numba_sparse.writer(write, shape, recipe.zeros(shape[0]), dtype)
        return write

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
        params, places = sampler.params, (first, rows, row_local, row_global)
        run = kernel(sampler.kind, dtype, len(params))
        run(params, address_of(out), length, key.seed, key.offset, *places)

    def fill_starts(
        self,
        out: Buffer,
        places: Places,
        length: int,
        starts: Places,
        key: Key,
        sampler: Sampler,
        dtype: DType,
    ) -> None:
        """Fill short rows at any places; see ``host.HostBackend``."""
        from tritoninit.backends import numba_rows

        numba_rows.fill_starts(out, places, length, starts, key, sampler, dtype)

    def words(
        self, key: Key, first: int, count: int, rows: int, stride: int
    ) -> npt.NDArray[np.uint32]:
        """[rows, count] 32-bit words; see ``host.HostBackend``."""
        out = np.empty((rows, count), dtype=np.uint32)
        run = kernel("words", DType.FLOAT32, 0)
        run((), address_of(out), count, key.seed, key.offset, first, rows, count, stride)
        return out

    def rank(
        self, key: Key, rows: int, columns: int, zeros: int, left: int, count: int
    ) -> Thresholds:
        """The thresholds of some columns; see ``host.HostBackend``."""
        from tritoninit.backends import numba_sparse

        return numba_sparse.rank(partial(self.words, key), key, rows, columns, zeros, left, count)

    def zero(self, out: Buffer, starts: Places, limits: Thresholds, key: Key) -> None:
        """Write the zeros of ``sparse_``; see ``host.HostBackend``."""
        from tritoninit.backends import numba_rows, numba_sparse

        if starts.size == 1:
            numba_sparse.zero(out, int(starts[0]), limits, key)
        else:
            numba_rows.zero(out, starts, limits, key)

    def digest_rows(self, data: Buffer, rows: Axis, inner: Axis, first: int, key: int) -> Digest:
        """The digest of elements along two axes; see ``host.HostBackend``."""
        from tritoninit.backends import numba_digest

        return numba_digest.digest_rows(data, rows, inner, first, key)
