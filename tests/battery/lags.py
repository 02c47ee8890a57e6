"""Sums of products of elements a fixed distance apart."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt


@numba.njit(fastmath={"reassoc"}, error_model="numpy", nogil=True)
def _products(x: Any, last: Any, out: Any) -> None:
    """out[l - 1] += sum of x[i] x[i + l], i < last."""
    for start in range(0, last, 4096):
        stop = min(start + 4096, last)
        for lag in range(1, out.size + 1):
            total = np.float64(0)
            for i in range(start, stop):
                total += np.float64(x[i]) * np.float64(x[i + lag])
            out[lag - 1] += total


def lag_products(
    values: npt.NDArray[np.float32], lags: int, follow: int = 0
) -> npt.NDArray[np.float64]:
    """For l = 1 to ``lags`` the sum of x[i] x[i + l] over all i.

    Beyond the end of ``values`` less ``follow`` (at least ``lags``, or 0) no i begins.
    """
    out = np.zeros(lags)
    _products(values, values.size - (follow or lags), out)
    return out
