"""Counts and sums over streams of samples too long to keep.

Samples are counted in cells of an ordered partition of the numbers; a test compares the counts
with the exact probability of each cell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from scipy import stats

from tests.battery.policy import folded, normal_p
from tests.statistics.checks import chi_square, two_sided
from tests.statistics.distributions import Distribution, Uniform

Floats = npt.NDArray[np.float32] | npt.NDArray[np.float64]

SHIFT = 12  # bits of a float32 that its cell leaves out: a cell is 2**-11 of a number wide
CELLS = 1 << 32 - SHIFT
LEAST, MOST = 2.0**-20, 2.0**5  # sizes between which cells are told apart, by default
EQUAL = 1 << 18  # cells of a uniform law, equally wide
MOMENTS = 8


@numba.njit(error_model="numpy", nogil=True)
def _count(bits: Any, counts: Any) -> None:
    for b in bits:
        counts[b >> np.uint32(12)] += 1


@numba.njit(error_model="numpy", nogil=True)
def _count_equal(x: Any, low: Any, scale: Any, counts: Any) -> None:
    for value in x:
        counts[np.int64((np.float64(value) - low) * scale)] += 1


@numba.njit(fastmath={"reassoc"}, error_model="numpy", nogil=True)
def _powers(x: Any, centre: Any, scale: Any, sums: Any) -> None:
    s1, s2, s3, s4, s5, s6, s7, s8 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for value in x:
        y = (np.float64(value) - centre) * scale
        y2 = y * y
        y4 = y2 * y2
        s1 += y
        s2 += y2
        s3 += y2 * y
        s4 += y4
        s5 += y4 * y
        s6 += y4 * y2
        s7 += y4 * y2 * y
        s8 += y4 * y4
    for k, total in enumerate((s1, s2, s3, s4, s5, s6, s7, s8)):
        sums[k] += total


@lru_cache
def _first_cells(least: float) -> npt.NDArray[np.int64]:
    """The cells that begin at the positive numbers from ``least`` to MOST."""
    starts = (np.arange(CELLS // 2, dtype=np.uint32) << np.uint32(SHIFT)).view(np.float32)
    return np.flatnonzero((starts >= least) & (starts <= MOST))


@lru_cache
def _float_edges(least: float) -> npt.NDArray[np.float64]:
    """Where they begin: half way between two float32."""
    first = (_first_cells(least).astype(np.uint32) << np.uint32(SHIFT)).view(np.float32)
    edges = (first.astype(np.float64) + np.nextafter(first, np.float32(0))) / 2
    return np.concatenate([-edges[::-1], edges])


@dataclass
class Accumulator:
    """Counts in cells and sums of powers of float32 samples of a law.

    Numbers closer to 0 than ``least`` are one cell.
    """

    law: Distribution
    least: float = LEAST
    samples: int = 0
    sums: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(MOMENTS))
    counts: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.mean, self.std, self.exact = self.law.moments(2 * MOMENTS)
        self.counts = np.zeros(EQUAL if isinstance(self.law, Uniform) else CELLS, np.int64)

    def add(self, samples: Floats) -> None:
        """Take more samples, float32 or float64; the cells see them rounded to float32.

        Raises:
            AssertionError: one is not a number of the law's range.
        """
        assert float(samples.min()) >= self.law.a
        assert float(samples.max()) <= self.law.b
        if isinstance(self.law, Uniform):
            scale = EQUAL / (self.law.b - self.law.a)
            _count_equal(samples, self.law.a, scale, self.counts)
        else:
            _count(samples.astype(np.float32, copy=False).view(np.uint32), self.counts)
        _powers(samples, self.mean, 1 / self.std, self.sums)
        self.samples += samples.size

    def merge(self, other: Accumulator) -> None:
        """Take what another accumulator of the same law has taken."""
        self.samples += other.samples
        self.sums += other.sums
        self.counts += other.counts

    def ordered(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """The counts from the least numbers up, and the edges between them."""
        if isinstance(self.law, Uniform):
            width = (self.law.b - self.law.a) / EQUAL
            return self.counts, self.law.a + width * np.arange(1, EQUAL)
        first = _first_cells(self.least)
        positive, negative = np.split(self.counts, 2)
        centre = positive[: first[0]].sum() + negative[: first[0]].sum()
        up, down = (np.add.reduceat(half, first) for half in (positive, negative))
        return np.concatenate([down[::-1], [centre], up]), _float_edges(self.least)

    def p_values(self) -> dict[str, float]:
        """Every test of what was taken."""
        counts, edges = self.ordered()
        below, above = self.law.cdf(edges), self.law.sf(edges)
        rising = np.concatenate([[0.0], below, [1.0]])
        falling = np.concatenate([[1.0], above, [0.0]])
        share = np.where(rising[1:] < 0.5, np.diff(rising), -np.diff(falling))
        reached = np.cumsum(counts)[:-1]
        found = {
            "Kolmogorov-Smirnov": self._kolmogorov_smirnov(reached, below),
            "Anderson-Darling": self._anderson_darling(reached, below, above),
            "chi-square": folded(chi_square(counts, share)),
        }
        return found | self.moments()

    def _kolmogorov_smirnov(self, reached: Any, below: Any) -> float:
        """The largest distance at an edge, which is at most that anywhere."""
        distance = float(np.abs(reached / self.samples - below).max())
        return float(stats.kstwobign.sf(distance * math.sqrt(self.samples)))

    def _anderson_darling(self, reached: Any, below: Any, above: Any) -> float:
        """The integral of n (F_n - F)^2 / (F (1 - F)) dF by the trapezoidal rule over the edges."""
        inside = (below > 0) & (above > 0)
        low, high = below[inside], above[inside]
        gap = np.where(
            low < 0.5,
            reached[inside] / self.samples - low,
            high - (self.samples - reached[inside]) / self.samples,
        )
        weighted = gap * gap / (low * high)
        steps = np.where(low[1:] < 0.5, np.diff(low), -np.diff(high))
        area = float(np.sum((weighted[1:] + weighted[:-1]) / 2 * steps))
        return anderson_darling_sf(self.samples * area)

    def moments(self) -> dict[str, float]:
        """Of the standardised powers, each asymptotically normal."""
        found = {}
        for k in range(1, MOMENTS + 1):
            spread = math.sqrt((self.exact[2 * k] - self.exact[k] ** 2) / self.samples)
            z = (self.sums[k - 1] / self.samples - self.exact[k]) / spread
            found[f"moment {k}"] = normal_p(z)
        return found

    def beyond(self, sigmas: int) -> dict[str, float]:
        """Binomial p-values of the counts below -sigmas, above sigmas, and both."""
        counts, edges = self.ordered()
        at = int(np.searchsorted(edges, sigmas - 1e-6))  # an integer begins a cell
        up = edges[at]
        low, high = int(counts[: edges.size - at].sum()), int(counts[at + 1 :].sum())
        below, above = float(self.law.cdf(-up)), float(self.law.sf(up))
        return {
            f"below -{sigmas} sigma": two_sided(low, self.samples, below),
            f"above {sigmas} sigma": two_sided(high, self.samples, above),
            f"beyond {sigmas} sigma": two_sided(low + high, self.samples, below + above),
        }


def anderson_darling_sf(statistic: float) -> float:
    """P(A^2 > statistic) in the limit: A^2 is the sum of chi^2_1 / (j (j + 1)), j = 1, 2, ...

    By inverting the characteristic function (J. Gil-Pelaez, Biometrika 38, 1951), which is
    sqrt(-2 pi i t / cos(pi / 2 sqrt(1 + 8 i t))) (T. W. Anderson, D. A. Darling, 1952).
    """
    t = np.arange(0.5, 40_000) * 0.005
    root = np.sqrt(1 + 8j * t)
    # log cos w for Im w large, without overflow, and continuous in t.
    w = np.pi / 2 * root
    log_cos = -1j * w - np.log(2) + np.log1p(np.exp(2j * w))
    phase = 0.5 * (np.log(-2j * np.pi * t) - log_cos)
    integrand = np.imag(np.exp(phase - 1j * t * statistic)) / t
    return float(np.clip(0.5 + integrand.sum() * 0.005 / np.pi, 0.0, 1.0))
