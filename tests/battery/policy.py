"""What a result is, and when the battery fails.

Every test gives p-values that are uniform on (0, 1), or larger, where the sampler is right.  With
m of them in the whole battery it fails where one is below FALSE_FAILURE / m (Bonferroni's rule,
which needs no independence): a right sampler fails with a probability of at most FALSE_FAILURE,
over the choice of the seeds.  Seeds are fixed, so a failure stays one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

FALSE_FAILURE = 1e-4
QUICK = 16  # a quick run takes that many times fewer samples


@dataclass(frozen=True)
class Outcome:
    """The p-value of one test of one stream or law."""

    subject: str
    test: str
    samples: int | None  # None: as many as a program of others takes
    p: float


Group = Callable[[bool], Iterable[Outcome]]  # of whether the run is a quick one


def threshold(p_values: int) -> float:
    """The p-value below which one of this many fails the battery."""
    return FALSE_FAILURE / max(1, p_values)


def folded(p: float) -> float:
    """A p-value that is small where a one-sided one is near 0 or near 1."""
    return min(1.0, 2 * min(p, 1 - p))


def normal_p(z: float) -> float:
    """Two-sided, of a standard normal statistic."""
    return float(2 * stats.norm.sf(abs(z)))


def poisson_p(count: int, mean: float) -> float:
    """Two-sided, of a Poisson count."""
    law = stats.poisson(mean)
    return float(min(1.0, 2 * min(law.cdf(count), law.sf(count - 1))))


def uniformity_p(p_values: list[float]) -> float:
    """Of p-values that are uniform, by Kolmogorov and Smirnov."""
    return float(stats.kstest(np.array(p_values), "uniform").pvalue)


def largest_p(z: npt.NDArray[np.float64]) -> float:
    """Of the largest of independent standard normals in absolute value."""
    return float(-np.expm1(z.size * np.log1p(-2 * stats.norm.sf(np.abs(z).max()))))


def squares_p(z: npt.NDArray[np.float64]) -> float:
    """Of the sum of squares of independent standard normals: too large or too small."""
    return folded(float(stats.chi2.sf(float(np.sum(np.square(z))), z.size)))
