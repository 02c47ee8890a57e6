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
from llvmlite import ir
from numba import types as nbt
from numba.extending import intrinsic

from tritoninit import philox, sampling, sampling64
from tritoninit.backends.numba_compile import compiled, compiled_scope, i32_of_f32, source_hash
from tritoninit.digest import Digest
from tritoninit.region import Axis
from tritoninit.sampler import DType, Sampler
from tritoninit.sparse import Thresholds
from tritoninit.stream import Key

Buffer = npt.NDArray[Any]


@intrinsic
def float16_bits(typingctx: Any, x: Any) -> Any:
    """The bits of a float32 rounded to the nearest float16."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        half = builder.fptrunc(args[0], ir.HalfType())
        return builder.bitcast(half, ir.IntType(16))

    return nbt.uint16(nbt.float32), codegen


def _store_bfloat16(value: Any) -> Any:
    bits = np.uint32(i32_of_f32(value))
    return np.uint16((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> 16)


STORES: dict[DType, Callable[..., Any]] = {
    DType.FLOAT32: lambda value: value,
    DType.FLOAT64: lambda value: value,
    DType.BFLOAT16: _store_bfloat16,
    DType.FLOAT16: lambda value: float16_bits(value),
}
U = np.uint64


def _rows4(out, rows, row_local, length, first, row_global, seed, offset, p):  # type: ignore[no-untyped-def]
    """Rows of four-lane blocks; ``philox4x32``, ``sample`` and ``store`` are bound at compile."""
    for row in range(rows):
        at = row * row_local
        end = at + length
        index = first + row * row_global
        skip = index & 3
        block = U(offset) + U(index >> 2)
        if skip:
            a, b, c, d = philox4x32(block, U(seed))
            v0, v1, v2, v3 = sample(a, b, c, d, p)
            if skip == 1 and at < end:
                out[at] = store(v1)
                at += 1
            if skip <= 2 and at < end:
                out[at] = store(v2)
                at += 1
            if at < end:
                out[at] = store(v3)
                at += 1
            block += U(1)
        blocks = (end - at) >> 2
        body = out[at : at + 4 * blocks]
        for i in range(blocks):
            a, b, c, d = philox4x32(block + U(i), U(seed))
            v0, v1, v2, v3 = sample(a, b, c, d, p)
            j = U(4) * U(i)
            body[j] = store(v0)
            body[j + U(1)] = store(v1)
            body[j + U(2)] = store(v2)
            body[j + U(3)] = store(v3)
        at += 4 * blocks
        if at < end:
            a, b, c, d = philox4x32(block + U(blocks), U(seed))
            v0, v1, v2, v3 = sample(a, b, c, d, p)
            out[at] = store(v0)
            if at + 1 < end:
                out[at + 1] = store(v1)
            if at + 2 < end:
                out[at + 2] = store(v2)


def _rows2(out, rows, row_local, length, first, row_global, seed, offset, p):  # type: ignore[no-untyped-def]
    """Rows of two-lane blocks (float64)."""
    for row in range(rows):
        at = row * row_local
        end = at + length
        index = first + row * row_global
        block = U(offset) + U(index >> 1)
        if index & 1 and at < end:
            a, b, c, d = philox4x32(block, U(seed))
            out[at] = sample(a, b, c, d, p)[1]
            at += 1
            block += U(1)
        blocks = (end - at) >> 1
        body = out[at : at + 2 * blocks]
        for i in range(blocks):
            a, b, c, d = philox4x32(block + U(i), U(seed))
            v0, v1 = sample(a, b, c, d, p)
            j = U(2) * U(i)
            body[j] = v0
            body[j + U(1)] = v1
        at += 2 * blocks
        if at < end:
            a, b, c, d = philox4x32(block + U(blocks), U(seed))
            out[at] = sample(a, b, c, d, p)[0]


def _words4(a: Any, b: Any, c: Any, d: Any, p: Any) -> Any:
    return np.uint32(a), np.uint32(b), np.uint32(c), np.uint32(d)


@lru_cache
def kernel(kind: str, dtype: DType) -> Callable[..., None]:
    """The compiled kernel that fills rows with samples of one kind in one dtype."""
    module = sampling64 if dtype.is_double else sampling
    template = _rows2 if dtype.is_double else _rows4
    scope = {
        "U": U,
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
    return compiled(bound)


class NumbaBackend:
    """Fills contiguous rows of host memory with compiled kernels."""

    name = "numba"

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
        kernel(sampler.kind, dtype)(
            out,
            rows,
            row_local,
            length,
            first,
            row_global,
            np.uint64(key.seed),
            np.uint64(key.offset),
            sampler.params,
        )

    def words(
        self, key: Key, first: int, count: int, rows: int, stride: int
    ) -> npt.NDArray[np.uint32]:
        """[rows, count] 32-bit words; see ``host.HostBackend``."""
        out = np.empty((rows, count), dtype=np.uint32)
        seed, offset = np.uint64(key.seed), np.uint64(key.offset)
        run = kernel("words", DType.FLOAT32)
        run(out.reshape(-1), rows, count, count, first, stride, seed, offset, ())
        return out

    def rank(
        self, key: Key, rows: int, columns: int, zeros: int, left: int, count: int
    ) -> Thresholds:
        """The thresholds of some columns; see ``host.HostBackend``."""
        from tritoninit.backends import numba_sparse

        return numba_sparse.rank(partial(self.words, key), key, rows, columns, zeros, left, count)

    def zero(self, out: Buffer, first: int, limits: Thresholds, key: Key) -> None:
        """Write the zeros of ``sparse_``; see ``host.HostBackend``."""
        from tritoninit.backends import numba_sparse

        numba_sparse.zero(out, first, limits, key)

    def digest_rows(self, data: Buffer, rows: Axis, inner: Axis, first: int, key: int) -> Digest:
        """The digest of elements along two axes; see ``host.HostBackend``."""
        from tritoninit.backends import numba_digest

        return numba_digest.digest_rows(data, rows, inner, first, key)
