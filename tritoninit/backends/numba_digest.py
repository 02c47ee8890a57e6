"""The fingerprint's sums for numba."""

from __future__ import annotations

import types
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from tritoninit import philox
from tritoninit.backends.numba_compile import compiled, compiled_scope, source_hash
from tritoninit.digest import Digest
from tritoninit.region import Axis

Buffer = npt.NDArray[Any]
U = np.uint64


def _digest(  # type: ignore[no-untyped-def]
    sums, data, count, row_local, row_step, length, local, step, first, key
):
    """Add the shares of ``count`` rows of ``length`` elements to the two words of ``sums``."""
    low = U(0xFFFFFFFF)
    half = U(32)
    first_sum = sums[0]
    second_sum = sums[1]
    for row in range(count):
        at = row * row_local
        index = U(first + row * row_step)
        if local == 1:  # apart, so that the loads are vectorised
            body = data[at : at + length]
            for j in range(length):
                i = index + U(j) * U(step)
                bits = U(body[U(j)])
                a, b, c, d = rounds(i & low, i >> half, bits & low, bits >> half, key)
                first_sum += a | b << half
                second_sum += c | d << half
        else:
            for j in range(length):
                i = index + U(j) * U(step)
                bits = U(data[at + j * local])
                a, b, c, d = rounds(i & low, i >> half, bits & low, bits >> half, key)
                first_sum += a | b << half
                second_sum += c | d << half
    sums[0] = first_sum
    sums[1] = second_sum


@lru_cache
def _compiled() -> Any:
    scope = {"U": U, "rounds": compiled_scope(philox)["rounds"]}
    bound = types.FunctionType(_digest.__code__, scope, _digest.__name__)
    bound.__qualname__ = f"{_digest.__name__}_{source_hash()}"
    bound.__module__ = __name__
    return compiled(bound)


def digest_rows(data: Buffer, rows: Axis, inner: Axis, first: int, key: int) -> Digest:
    """The digest of elements along two axes; see ``host.HostBackend``."""
    sums = np.zeros(2, np.uint64)
    steps = (rows.size, rows.local, rows.stride, inner.size, inner.local, inner.stride)
    _compiled()(sums, data, *steps, first, np.uint64(key))
    return Digest(int(sums[0]), int(sums[1]))
