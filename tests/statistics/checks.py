"""p-values of samples under an exact distribution."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats

from tests.statistics.distributions import Distribution

# A correct sampler fails one check in a million; seeds are fixed, so a failure is no accident
# that a second run would mend.
SIGNIFICANCE = 1e-6

SAMPLES = 1 << 26
BLOCK = 1 << 22  # samples looked at together: 32 MiB of float64
STRIDE = 64  # order statistics between two evaluations of the distribution function
TAILS = [float(stats.norm.sf(sigmas)) for sigmas in (3, 4, 5)]
MOMENTS = 4
LEAST_EXPECTED = 20.0  # in a cell of a chi-square test

Floats = npt.NDArray[np.floating[Any]]


def blocks(values: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """The array in parts that are cheap to convert."""
    for start in range(0, values.size, BLOCK):
        yield values[start : start + BLOCK]


def kolmogorov_smirnov(ordered: npt.NDArray[np.float32], law: Distribution) -> float:
    """Sorted float32 samples against the law rounded to float32.

    A sample x stands for all numbers that round to it, so the share of samples <= x is
    compared with the distribution function half way to the next float32.  Between two
    evaluations the empirical function rises by at most STRIDE / n, which is added.
    """
    n = ordered.size
    points = ordered[STRIDE - 1 :: STRIDE]
    share = np.searchsorted(ordered, points, side="right") / n
    following = np.nextafter(points, np.float32(np.inf)).astype(np.float64)
    edges = (points.astype(np.float64) + following) / 2
    distance = float(np.max(np.abs(share - law.cdf(np.minimum(edges, law.b)))))
    return float(stats.kstwobign.sf((distance + STRIDE / n) * math.sqrt(n)))


def moments(values: Floats, law: Distribution) -> list[float]:
    """Two-sided p-values of the first four moments, each asymptotically normal."""
    mean, std, exact = law.moments(2 * MOMENTS)
    sums = np.zeros(MOMENTS)
    for part in blocks(values):
        y = (part.astype(np.float64) - mean) / std
        power = np.ones_like(y)
        for k in range(MOMENTS):
            power *= y
            sums[k] += power.sum()
    result = []
    for k in range(1, MOMENTS + 1):
        spread = math.sqrt((exact[2 * k] - exact[k] ** 2) / values.size)
        z = (sums[k - 1] / values.size - exact[k]) / spread
        result.append(float(2 * stats.norm.sf(abs(z))))
    return result


def two_sided(count: int, n: int, probability: float) -> float:
    """The p-value of a binomial count."""
    law = stats.binom(n, probability)
    return float(min(1.0, 2 * min(law.cdf(count), law.sf(count - 1))))


def quantile(function: Callable[[float], float], law: Distribution, target: float) -> float:
    """The x with function(x) = target, by bisection on [a, b]; the function is monotone."""
    mean, std, _ = law.moments(2)
    low, high = max(law.a, mean - 60 * std), min(law.b, mean + 60 * std)
    rising = function(high) > function(low)
    for _ in range(100):
        middle = (low + high) / 2
        if (function(middle) < target) == rising:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def tails(ordered: npt.NDArray[np.float32], law: Distribution) -> list[float]:
    """Binomial p-values of the counts beyond the 3, 4 and 5 sigma probabilities, both ends."""
    result = []
    for probability in TAILS:
        low = np.float32(quantile(law.cdf, law, probability))
        high = np.float32(quantile(law.sf, law, probability))
        # Samples below (above) a float32 threshold are those that round below (above) it.
        under = float(np.nextafter(low, np.float32(-np.inf)))
        over = float(np.nextafter(high, np.float32(np.inf)))
        below = int(np.searchsorted(ordered, low, side="left"))
        above = ordered.size - int(np.searchsorted(ordered, high, side="right"))
        result.append(two_sided(below, ordered.size, float(law.cdf((float(low) + under) / 2))))
        result.append(two_sided(above, ordered.size, float(law.sf((float(high) + over) / 2))))
    return result


def values_of(dtype: torch.dtype) -> npt.NDArray[np.float64]:
    """The number that each 16-bit pattern means."""
    patterns = torch.arange(1 << 16, dtype=torch.int32).to(torch.uint16)
    return patterns.view(dtype).to(torch.float64).numpy()


def counts(sample: torch.Tensor) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The distinct finite numbers of a 16-bit dtype in order, and how often each was drawn.

    Raises:
        AssertionError: the sample has a value that is not finite.
    """
    patterns = sample.view(torch.uint16).numpy()
    total = np.zeros(1 << 16, dtype=np.int64)
    for part in blocks(patterns):
        total += np.bincount(part, minlength=1 << 16)
    values = values_of(sample.dtype)
    finite = np.isfinite(values)
    assert total[~finite].sum() == 0, "samples that are not finite"
    distinct, where = np.unique(values[finite] + 0.0, return_inverse=True)  # -0.0 joins 0.0
    return distinct, np.bincount(where, weights=total[finite]).astype(np.int64)


def cells(values: npt.NDArray[np.float64], law: Distribution) -> npt.NDArray[np.float64]:
    """The probability of each of a dtype's values: all of [a, b] that rounds or is clamped to it.

    ``values`` are those within [a, b], in order.  The smaller of cdf and sf gives each end its
    relative precision.
    """
    middles = (values[1:] + values[:-1]) / 2
    below, above = law.cdf(middles), law.sf(middles)
    rising = np.concatenate([[0.0], below, [1.0]])
    falling = np.concatenate([[1.0], above, [0.0]])
    return np.where(rising[1:] < 0.5, np.diff(rising), -np.diff(falling))


def chi_square(observed: npt.NDArray[Any], probability: npt.NDArray[np.float64]) -> float:
    """Pearson's test; neighbouring cells are joined until LEAST_EXPECTED is reached."""
    n = int(observed.sum())
    got, expected = [0], [0.0]
    for count, share in zip(observed.tolist(), (probability * n).tolist(), strict=True):
        if expected[-1] >= LEAST_EXPECTED:
            got.append(0)
            expected.append(0.0)
        got[-1] += count
        expected[-1] += share
    if len(got) > 1 and expected[-1] < LEAST_EXPECTED:
        got[-2:] = [got[-2] + got[-1]]
        expected[-2:] = [expected[-2] + expected[-1]]
    if len(got) == 1:
        return 1.0
    statistic = sum((g - e) ** 2 / e for g, e in zip(got, expected, strict=True))
    return float(stats.chi2.sf(statistic, len(got) - 1))


def discrete_kolmogorov_smirnov(
    observed: npt.NDArray[Any], probability: npt.NDArray[np.float64]
) -> float:
    """The same statistic for a discrete law; the p-value of the continuous case bounds it."""
    n = observed.sum()
    distance = np.max(np.abs(np.cumsum(observed) / n - np.cumsum(probability)))
    return float(stats.kstwobign.sf(distance * math.sqrt(n)))
