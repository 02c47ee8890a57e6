"""Small products of Householder reflections, in one call: torch's overhead would outweigh them."""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from tritoninit.backends.numba_compile import compiled, source_hash

Matrix = npt.NDArray[np.float64]


def _product(tall, q, gain):  # type: ignore[no-untyped-def]
    """q = gain * H_1 ... H_n S, from the last reflection to the first; q is zero before."""
    rows, columns = tall.shape
    w = np.empty(columns)
    v = np.empty(rows)
    for k in range(columns - 1, -1, -1):
        square = 0.0
        for i in range(k, rows):
            v[i] = tall[i, k]
            square += v[i] * v[i]
        norm = np.copysign(np.sqrt(square), v[k])
        head = v[k] + norm
        tau = head / norm
        total = w[k:]  # v^T times the rows from k on, of which row k is zero but for its sign
        total[:] = 0.0
        total[0] = -gain if norm > 0 else gain
        q[k, k] = total[0]
        for i in range(k + 1, rows):
            row = q[i, k:]
            factor = v[i] / head
            v[i] = tau * factor
            for j in range(total.size):
                total[j] += factor * row[j]
        v[k] = tau
        for i in range(k, rows):
            row = q[i, k:]
            factor = v[i]
            for j in range(total.size):
                row[j] -= factor * total[j]


@lru_cache
def _kernel() -> Callable[..., None]:
    bound = types.FunctionType(_product.__code__, {"np": np}, _product.__name__)
    bound.__qualname__ = f"product_{source_hash()}"
    bound.__module__ = __name__
    kernel: Callable[..., None] = compiled(bound)
    return kernel


def product(tall: npt.NDArray[Any], gain: float) -> Matrix:
    """As ``orthogonal.product``, for few columns."""
    q = np.zeros(tall.shape)
    _kernel()(np.ascontiguousarray(tall), q, gain)
    return q
