"""The instructions whose results are only near: reciprocals, roots and reciprocals of roots.

AMD's instruction set documents state 1 ulp for float32 and 2**29 ulp for float64, and that
subnormal numbers count as 0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.machine.memory import Array

REACH = {"f4": 1, "f8": 2**29}  # ulp
CHOICES = ("nearest", "low", "high", "any")


def estimate(x: Array, function: Callable[[Array], Array], choice: str) -> Array:
    """function(x) with an allowed error: none, the least or the largest result, or any.

    Raises:
        ValueError: another choice.
    """
    if choice not in CHOICES:
        raise ValueError(f"choice must be one of {CHOICES}, got {choice!r}")
    kind = x.dtype.str[1:]
    tiny = np.finfo(x.dtype).tiny
    x = np.where(np.abs(x) < tiny, np.copysign(x.dtype.type(0), x), x)
    exact = function(x.astype(np.float64))
    near = exact.astype(x.dtype)
    near = np.where(np.abs(near) < tiny, np.copysign(x.dtype.type(0), near), near)
    if choice == "nearest":
        return near
    steps = {"low": -1.0, "high": 1.0}.get(choice)
    if steps is None:
        noise = np.random.default_rng(int(near.view(f"u{kind[1:]}").sum(dtype=np.uint64)))
        steps = noise.uniform(-1, 1, near.shape)
    # Of float32 the exact result lies beside ``near``: half a step in its direction, one away.
    step = np.spacing(np.abs(near))
    if kind == "f8":
        moved = near + np.trunc(steps * (REACH[kind] - 1)) * step
    else:
        moved = (exact + steps * step.astype(np.float64)).astype(x.dtype)
        wrong = np.abs(moved - exact) > step
        moved = np.where(wrong, near, moved)
    plain = np.isfinite(near) & (np.abs(near) >= tiny)
    return np.where(plain, moved, near)


def reciprocal(x: Array) -> Array:
    return 1 / x


def reciprocal_root(x: Array) -> Array:
    return 1 / np.sqrt(x)
