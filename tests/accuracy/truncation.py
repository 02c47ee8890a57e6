"""The exact law of a truncated normal, stored in a dtype, and how far samples are from it.

Neither torch nor tritoninit is used here, so that every implementation is measured alike.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special, stats

Array = npt.NDArray[np.float64]
FORMATS = {"float32": (24, -149), "bfloat16": (8, -133), "float16": (11, -24)}
HALF = math.log(2)  # a Poisson count of this mean is 0 with a probability of 1/2


class Case(NamedTuple):
    """The arguments of a call of ``trunc_normal_``."""

    mean: float
    std: float
    a: float
    b: float

    def __str__(self) -> str:
        return f"({', '.join(f'{value:g}' for value in self)})"

    @property
    def bounds(self) -> tuple[float, float]:
        """In units of std from the mean."""
        return (self.a - self.mean) / self.std, (self.b - self.mean) / self.std

    def shares(self, values: Array) -> tuple[Array, Array]:
        """The probabilities below and above, each by the tail that is exact and small."""
        alpha, beta = self.bounds
        z = np.clip((values - self.mean) / self.std, alpha, beta)
        if alpha >= 0:
            near, far, at = special.ndtr(-alpha), special.ndtr(-beta), special.ndtr(-z)
            return (near - at) / (near - far), (at - far) / (near - far)
        if beta <= 0:
            near, far, at = special.ndtr(beta), special.ndtr(alpha), special.ndtr(z)
            return (at - far) / (near - far), (near - at) / (near - far)
        left, right = special.ndtr(alpha), special.ndtr(-beta)
        mass = 1 - left - right
        return (special.ndtr(z) - left) / mass, (special.ndtr(-z) - right) / mass

    def quantile(self, below: Array, above: Array) -> Array:
        """The value with these probabilities on its sides (which add up to 1)."""
        alpha, beta = self.bounds
        left = special.ndtr(alpha) * above + special.ndtr(beta) * below
        right = special.ndtr(-alpha) * above + special.ndtr(-beta) * below
        z = np.where(left < right, special.ndtri(left), -special.ndtri(right))
        return np.clip(z, alpha, beta) * self.std + self.mean


CASES = [
    Case(0.0, 1.0, -2.0, 2.0),
    Case(0.0, 0.02, -0.04, 0.04),
    Case(0.0, 0.02, -2.0, 2.0),  # torch's default bounds, at 100 sigma
    Case(0.0, 1.0, -3.0, 3.0),
    Case(0.0, 1.0, -2.0113, 2.0113),  # the nearest bfloat16 and float16 lie outside
    Case(0.0, 1.0, -0.5, 1.5),
    Case(0.25, 0.5, -4.0, 1.0),
    Case(0.0, 1.0, 1.0, math.inf),
    Case(2.0, 0.5, -1.0, 1.0),
    Case(0.0, 1.0, 3.0, 5.0),
    Case(0.0, 1.0, 8.0, 10.0),
    Case(0.0, 1.0, 20.0, 100.0),
]


def gaps(values: Array, dtype: str) -> tuple[Array, Array]:
    """How far the next values of the dtype are, below and above."""
    digits, least = FORMATS[dtype]
    significand, exponent = np.frexp(np.abs(values))
    step = np.maximum(exponent - digits, least)
    inner = np.maximum(step - (significand == 0.5), least)  # towards 0 from a power of two
    step, inner = (np.where(values == 0, least, size) for size in (step, inner))
    inward, outward = np.ldexp(1.0, inner), np.ldexp(1.0, step)
    positive = values > 0
    return np.where(positive, inward, outward), np.where(positive, outward, inward)


def edges(values: Array, dtype: str) -> tuple[Array, Array]:
    """Between which numbers a number rounds to each of these values."""
    below, above = gaps(values, dtype)
    return values - below / 2, values + above / 2


def extremes(case: Case, dtype: str) -> tuple[float, float]:
    """The least and the greatest value of the dtype within the bounds."""
    digits, least = FORMATS[dtype]

    def whole(bound: float, rounding: Any) -> float:
        if math.isinf(bound):
            return bound
        step = 2.0 ** max(math.frexp(bound)[1] - digits, least)
        return float(rounding(bound / step) * step)

    return whole(case.a, math.ceil), whole(case.b, math.floor)


def at_bounds(case: Case, dtype: str) -> tuple[float, float]:
    """The probabilities of the least and the greatest value, if samples were exact.

    That is of what rounds to them, and what lies between them and the bounds.
    """
    low, high = extremes(case, dtype)
    left = case.shares(edges(np.array([low]), dtype)[1])[0] if math.isfinite(low) else [0.0]
    right = case.shares(edges(np.array([high]), dtype)[0])[1] if math.isfinite(high) else [0.0]
    return float(left[0]), float(right[0])


def poisson_p(count: int, mean: float) -> float:
    """Two-sided, of a Poisson count."""
    law = stats.poisson(mean)
    return float(min(1.0, 2 * min(law.cdf(count), law.sf(count - 1))))


def described(case: Case, dtype: str, values: Array) -> dict[str, Any]:
    """Where the samples lie, beside where exact samples, rounded and clamped, would.

    The distance is Kolmogorov's and Smirnov's, between the distribution functions on the
    dtype's grid; its p-value is too large where the grid is coarse, and never too small.
    """
    low, high = extremes(case, dtype)
    size = values.size
    finite = values[np.isfinite(values)]
    grid, counts = np.unique(finite, return_counts=True)
    reached = np.cumsum(counts) / size
    lower, upper = edges(grid, dtype)
    outside = (finite < case.a) | (finite > case.b)
    below = case.shares(np.where(grid >= high, case.b, upper))[0]
    before = case.shares(np.where(grid <= low, case.a, lower))[0]
    distance = max(
        float(np.abs(reached - below).max()),
        float(np.abs(reached - counts / size - before).max()),
        1 - finite.size / size,
    )
    found = (int(np.count_nonzero(finite <= low)), int(np.count_nonzero(finite >= high)))
    expected = [share * size for share in at_bounds(case, dtype)]
    share = np.array([HALF / size])
    typical = [case.quantile(share, 1 - share), case.quantile(1 - share, share)]
    return {
        "samples": size,
        "infinite": size - finite.size,
        "outside": int(np.count_nonzero(outside)),
        "at_bounds": found,
        "expected_at_bounds": expected,
        "p_at_bounds": [poisson_p(*pair) for pair in zip(found, expected, strict=True)],
        "range": [float(grid[0]), float(grid[-1])],
        "expected_range": [float(end[0]) for end in typical],  # medians, before the rounding
        "distinct": grid.size,
        "distance": distance,
        "p_distance": float(stats.kstwobign.sf(distance * math.sqrt(size))),
    }


def worst(case: Case, dtype: str, values: Array, exact: Array) -> float:
    """The largest error of a finite value, in units of 2**-digits std max(1, abs(z))."""
    finite = np.isfinite(values)
    size = np.maximum(1.0, np.abs(exact - case.mean) / case.std) * case.std
    return float(np.max(np.abs(values - exact)[finite] / size[finite]) * 2.0 ** FORMATS[dtype][0])
