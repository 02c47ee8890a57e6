"""Tests of 32-bit words whose law under independence and uniformity is known.

Each takes words and gives one p-value.  Sources: D. E. Knuth, TAOCP volume 2, 3.3.2 (frequency,
serial, gap, permutation, collision, coupon, maximum of t); G. Marsaglia and W. W. Tsang, "Some
difficult-to-pass tests of randomness", J. Stat. Softw. 7(3), 2002 (birthday spacings, ranks);
P. L'Ecuyer and R. Simard, "TestU01", ACM TOMS 33(4), 2007 (parameters).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from scipy import special, stats

from tests.battery.lags import lag_products
from tests.battery.policy import folded, largest_p, poisson_p, squares_p
from tests.statistics.checks import chi_square

Words = npt.NDArray[np.uint32]
Counts = npt.NDArray[np.int64]

BIRTHDAYS = 4096  # in a year of 2**32 days: 4 repeated spacings expected
URNS = 30  # bits
GAP = 1 / 16
LONGEST_GAP = 200
TYPES = 8  # of coupons
LONGEST_COUPON = 60
PERMUTED = 5
MAXIMUM_OF = 8
RANK = 128
MATRICES = 1 << 14  # at most
SPECTRUM = 1 << 12  # words
WEIGHTS = np.array([0, 14, 15, 16, 17, 18])  # least Hamming weight of each class
LAGS = 64


def uniform_p(observed: Counts) -> float:
    """Chi-square against equally likely cells; too even a count is as wrong as an uneven one."""
    return folded(chi_square(observed, np.full(observed.size, 1 / observed.size)))


def halves(words: Words) -> float:
    """Frequency of the 2**16 values of the low and of the high halves."""
    split = words.view(np.uint16).reshape(-1, 2)
    counts = [np.bincount(split[:, half], minlength=1 << 16) for half in (0, 1)]
    return uniform_p(np.concatenate(counts))


def bits(words: Words) -> float:
    """Frequency of ones at each of the 32 positions."""
    split = words.view(np.uint8).reshape(-1, 4)
    is_set = (np.arange(256)[:, None] >> np.arange(8)) & 1
    ones = [np.bincount(split[:, byte], minlength=256) @ is_set for byte in range(4)]
    z = (2 * np.concatenate(ones) - words.size) / math.sqrt(words.size)
    return squares_p(z)


def tuples(width: int, length: int) -> Callable[[Words], float]:
    """Serial test: non-overlapping tuples of the highest bits of consecutive words."""

    def test(words: Words) -> float:
        parts = words[: words.size // length * length].reshape(-1, length) >> np.uint32(32 - width)
        cell = np.zeros(len(parts), np.uint32)
        for column in range(length):
            cell = cell << np.uint32(width) | parts[:, column]
        return uniform_p(np.bincount(cell, minlength=1 << width * length))

    return test


def gap(words: Words) -> float:
    """Lengths between words in the lowest GAP of the range: geometric."""
    hits = np.flatnonzero(words < np.uint32(GAP * 2**32))
    lengths = np.minimum(np.diff(hits) - 1, LONGEST_GAP)
    law = GAP * (1 - GAP) ** np.arange(LONGEST_GAP + 1)
    law[-1] = (1 - GAP) ** LONGEST_GAP
    return folded(chi_square(np.bincount(lengths, minlength=law.size), law))


@numba.njit
def _coupons(coupons: Any, types: Any, out: Any) -> None:
    seen, length = 0, 0
    for coupon in coupons:
        seen |= 1 << coupon
        length += 1
        if seen == (1 << types) - 1:
            out[min(length, out.size - 1)] += 1
            seen, length = 0, 0


def coupons(words: Words) -> float:
    """Draws until all TYPES values of the highest bits have come."""
    observed = np.zeros(LONGEST_COUPON + 1, np.int64)
    _coupons((words >> np.uint32(29)).astype(np.int64), TYPES, observed)
    shares = np.array(
        [
            sum((-1) ** k * math.comb(TYPES, k) * (1 - k / TYPES) ** n for k in range(TYPES + 1))
            for n in range(LONGEST_COUPON)
        ]
    )
    law = np.diff(shares, prepend=0.0, append=1.0)
    return folded(chi_square(observed[TYPES:], law[TYPES:]))


def permutations(words: Words) -> float:
    """Order of PERMUTED consecutive words."""
    order = words[: words.size // PERMUTED * PERMUTED].reshape(-1, PERMUTED).argsort(axis=1)
    codes = order @ (PERMUTED ** np.arange(PERMUTED))
    _, counts = np.unique(codes, return_counts=True)
    cells = math.factorial(PERMUTED)
    return uniform_p(np.concatenate([counts, np.zeros(cells - counts.size, np.int64)]))


def maxima(words: Words) -> float:
    """The largest of MAXIMUM_OF words, to the power that makes it uniform."""
    largest = words[: words.size // MAXIMUM_OF * MAXIMUM_OF].reshape(-1, MAXIMUM_OF).max(axis=1)
    share = (largest.astype(np.float64) + 0.5) * 2.0**-32
    return uniform_p(np.bincount((share**MAXIMUM_OF * 1024).astype(np.int64), minlength=1024))


def birthdays(words: Words) -> float:
    """Repeated spacings between BIRTHDAYS words in order: Poisson, n**3 / 4d a year."""
    years = np.sort(words[: words.size // BIRTHDAYS * BIRTHDAYS].reshape(-1, BIRTHDAYS), axis=1)
    spacings = np.diff(years, axis=1)
    spacings.sort(axis=1)
    repeated = int(np.count_nonzero(spacings[:, 1:] == spacings[:, :-1]))
    return poisson_p(repeated, len(years) * BIRTHDAYS**3 / 2**34)


def collisions(words: Words) -> float:
    """Balls thrown into 2**URNS urns by two words each; how many hit one that has a ball."""
    pairs = words.reshape(-1, 2) >> np.uint32(32 - URNS // 2)
    urns = np.sort(pairs[:, 0] << np.uint32(URNS // 2) | pairs[:, 1])
    collided = int(np.count_nonzero(urns[1:] == urns[:-1]))
    n, d = urns.size, 2.0**URNS
    empty = math.exp(n * math.log1p(-1 / d))  # of an urn
    mean = n - d * -math.expm1(n * math.log1p(-1 / d))
    together = math.expm1(n * (math.log1p(-2 / d) - 2 * math.log1p(-1 / d)))  # of two, over empty^2
    spread = math.sqrt(max(0.0, d * empty * (1 - empty + (d - 1) * empty * together)))
    if mean < 1000:
        return poisson_p(collided, mean)
    return float(2 * stats.norm.sf(abs(collided - mean) / spread))


def repeats(words: Words) -> float:
    """Equal pairs of words at even places: with 2**64 values none is expected."""
    pairs = np.sort(words[: words.size // 2 * 2].view(np.uint64))
    count = int(np.count_nonzero(pairs[1:] == pairs[:-1]))
    return float(stats.poisson.sf(count - 1, pairs.size**2 / 2**65))


@numba.njit
def _ranks(matrices: Any, out: Any) -> None:
    """Gauss's elimination over GF(2); a row is two words of 64 bits."""
    size = matrices.shape[1]
    for m in matrices:
        rank = 0
        for column in range(size):
            part, bit = column >> 6, np.uint64(1) << np.uint64(column & 63)
            pivot = rank
            while pivot < size and not m[pivot, part] & bit:
                pivot += 1
            if pivot == size:
                continue
            for j in range(m.shape[1]):
                m[pivot, j], m[rank, j] = m[rank, j], m[pivot, j]
            for row in range(pivot + 1, size):
                if m[row, part] & bit:
                    for j in range(m.shape[1]):
                        m[row, j] ^= m[rank, j]
            rank += 1
        out[min(size - rank, out.size - 1)] += 1


def ranks(words: Words) -> float:
    """Deficit of the rank of RANK x RANK matrices of bits: 0, 1, 2, at least 3."""
    each = RANK * RANK // 32
    used = words[: min(words.size // each, MATRICES) * each]
    observed = np.zeros(4, np.int64)
    _ranks(used.view(np.uint64).reshape(-1, RANK, RANK // 64).copy(), observed)
    full = np.prod(1 - 2.0 ** -np.arange(1, RANK + 1))
    law = [full]
    for deficit in (1, 2):
        law.append(law[-1] * 2.0 ** -(2 * deficit - 1) / (1 - 2.0**-deficit) ** 2)
        # (1 - 2**-RANK) and its like are 1 in float64.
    return folded(chi_square(observed, np.array([*law, 1 - sum(law)])))


def spectrum(words: Words) -> float:
    """The mean power at each frequency of stretches of SPECTRUM words: the largest and least."""
    stretches = words[: words.size // SPECTRUM * SPECTRUM].reshape(-1, SPECTRUM)
    power = np.zeros(SPECTRUM // 2 - 1)
    for stretch in stretches:
        centred = (stretch.astype(np.float64) + 0.5) * 2.0**-32 - 0.5
        power += np.abs(np.fft.rfft(centred)[1:-1]) ** 2
    power *= 12 / SPECTRUM  # each is Gamma(stretches, 1), by the central limit
    upper = special.gammaincc(len(stretches), power.max())
    lower = special.gammainc(len(stretches), power.min())
    extreme = 2 * min(upper, lower)
    return float(-math.expm1(power.size * math.log1p(-min(extreme, 1 - 1e-16))))


def weights(lag: int) -> Callable[[Words], float]:
    """Hamming weights of words this far apart, in classes: independent."""
    law = stats.binom(32, 0.5)
    edges = np.append(WEIGHTS, 33)
    share = law.cdf(edges[1:] - 1) - law.cdf(edges[:-1] - 1)
    classes = np.searchsorted(WEIGHTS, np.arange(33), side="right") - 1

    def test(words: Words) -> float:
        weight = classes[np.bitwise_count(words[: words.size // (2 * lag) * 2 * lag])]
        pairs = weight.reshape(-1, 2, lag)
        cell = (pairs[:, 0] * WEIGHTS.size + pairs[:, 1]).reshape(-1)
        observed = np.bincount(cell, minlength=WEIGHTS.size**2)
        return folded(chi_square(observed, np.outer(share, share).reshape(-1)))

    return test


def correlations(words: Words) -> float:
    """Serial correlation at lags 1 to LAGS: the largest."""
    values = (words.astype(np.float32) * np.float32(2.0**-32) - np.float32(0.5)) * np.float32(
        math.sqrt(12)
    )
    return largest_p(lag_products(values, LAGS) / math.sqrt(values.size))


TESTS: dict[str, Callable[[Words], float]] = {
    "bits": bits,
    "halves": halves,
    "pairs of 8 bits": tuples(8, 2),
    "triples of 6 bits": tuples(6, 3),
    "quadruples of 4 bits": tuples(4, 4),
    "gap": gap,
    "coupons": coupons,
    "permutations": permutations,
    "maximum of 8": maxima,
    "birthday spacings": birthdays,
    "collisions": collisions,
    "repeats": repeats,
    "ranks": ranks,
    "spectrum": spectrum,
    "Hamming weights, lag 1": weights(1),
    "Hamming weights, lag 4": weights(4),
    "serial correlation": correlations,
}
