"""Exact distribution functions, in float64 without cancellation, to test samples against."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import mpmath
import numpy as np
from scipy import special

QUADRATURE_NODES = 400
EFFECTIVE_REACH = 14.0  # sigma: beyond it the normal density is below 1e-43


@lru_cache
def _quadrature() -> tuple[Any, Any]:
    """Nodes and weights; an eigenvalue problem, a second on a busy machine."""
    return np.polynomial.legendre.leggauss(QUADRATURE_NODES)


class Distribution(Protocol):
    """A law on [a, b]."""

    a: float
    b: float

    def cdf(self, x: Any) -> Any:
        """P(X <= x)."""

    def sf(self, x: Any) -> Any:
        """P(X > x), with its own relative precision."""

    def moments(self, count: int) -> tuple[float, float, list[float]]:
        """The mean, the standard deviation, and E[((X - mean) / std)**k] for k <= count."""


@dataclass(frozen=True)
class Normal:
    """N(mean, std**2) conditioned on [a, b]; infinite bounds leave it as it is."""

    std: float
    a: float = -math.inf
    b: float = math.inf
    mean: float = 0.0

    @property
    def alpha(self) -> float:
        """The lower bound in standard deviations from the mean."""
        return (self.a - self.mean) / self.std

    @property
    def beta(self) -> float:
        """The upper bound in standard deviations from the mean."""
        return (self.b - self.mean) / self.std

    @property
    def mirrored(self) -> Normal:
        """The law of -X."""
        return Normal(self.std, -self.b, -self.a, -self.mean)

    def cdf(self, x: Any) -> Any:
        """P(X <= x)."""
        z = (np.clip(x, self.a, self.b) - self.mean) / self.std
        if self.alpha > 0:  # both bounds above the mean: survival functions
            start, whole = special.log_ndtr(-self.alpha), special.log_ndtr(-self.beta)
            return np.expm1(special.log_ndtr(-z) - start) / np.expm1(whole - start)
        low, high = special.ndtr(self.alpha), special.ndtr(self.beta)
        if self.beta < 0:
            end = special.log_ndtr(self.beta)
            below = np.exp(special.log_ndtr(z) - end) - np.exp(special.log_ndtr(self.alpha) - end)
            return below / -np.expm1(special.log_ndtr(self.alpha) - end)
        return (special.ndtr(z) - low) / (high - low)

    def sf(self, x: Any) -> Any:
        """P(X > x)."""
        return self.mirrored.cdf(-np.asarray(x))

    def moments(self, count: int) -> tuple[float, float, list[float]]:
        """Gauss-Legendre quadrature over the part of [a, b] that holds the mass."""
        if self.beta < 0:
            mean, std, standard = self.mirrored.moments(count)
            return -mean, std, [m * (-1.0) ** k for k, m in enumerate(standard)]
        low, high = max(self.alpha, -EFFECTIVE_REACH), min(self.beta, EFFECTIVE_REACH)
        if self.alpha > 0:
            low = self.alpha
            high = min(self.beta, low + EFFECTIVE_REACH * min(1.0, 6.0 / low))
        nodes, weights = _quadrature()
        step = (high - low) / 2 * (nodes + 1)  # from the lower bound: narrow laws keep digits
        mass = weights * np.exp(-step * (low + step / 2))
        mass /= mass.sum()
        centre = float(mass @ step)
        spread = math.sqrt(float(mass @ (step - centre) ** 2))
        standard = [float(mass @ ((step - centre) / spread) ** k) for k in range(count + 1)]
        return self.mean + self.std * (low + centre), self.std * spread, standard

    def interval(self, low: float, high: float) -> float:
        """P(low < X <= high) to full precision, for intervals of a few ulps."""
        with mpmath.workdps(60):
            a, b, x, y = (
                (mpmath.mpf(v) - mpmath.mpf(self.mean)) / mpmath.mpf(self.std)
                for v in (self.a, self.b, low, high)
            )
            if a > 0:
                a, b, x, y = -b, -a, -y, -x
            part, whole = mpmath.ncdf(y) - mpmath.ncdf(x), mpmath.ncdf(b) - mpmath.ncdf(a)
            return float(part / whole)


@dataclass(frozen=True)
class Uniform:
    """U(a, b)."""

    a: float
    b: float

    def cdf(self, x: Any) -> Any:
        """P(X <= x)."""
        return np.clip((np.asarray(x) - self.a) / (self.b - self.a), 0, 1)

    def sf(self, x: Any) -> Any:
        """P(X > x)."""
        return np.clip((self.b - np.asarray(x)) / (self.b - self.a), 0, 1)

    def moments(self, count: int) -> tuple[float, float, list[float]]:
        """E[y**k] = 3**(k / 2) / (k + 1) for even k, else 0."""
        standard = [0.0 if k % 2 else 3.0 ** (k / 2) / (k + 1) for k in range(count + 1)]
        return (self.a + self.b) / 2, (self.b - self.a) / math.sqrt(12), standard
