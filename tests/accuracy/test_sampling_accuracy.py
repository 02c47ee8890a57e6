"""How far the float32 sampling functions are from the exact ones.

Errors are in units of 2**-24: relative ones (a correctly rounded result has at most one), or
absolute ones where the text says so.  LIMITS holds what was measured on these inputs, rounded
up; run ``python -m tests.accuracy.test_sampling_accuracy`` to print the measurements.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import special

from tritoninit import sampling, truncated

F64 = npt.NDArray[np.float64]
Measure = Callable[[], float]

UNIT = 2.0**-24
DENSE = 1 << 19
RATIONAL_REACH = float(special.erf(truncated.RATIONAL_END / math.sqrt(2)))
LOG_REACH = math.sqrt(-math.expm1(-5.5))
# alpha, beta of one-sided intervals: at the mean, narrow, wide, far, unbounded.
ONE_SIDED = [
    (0.0, math.inf),
    (0.0, 0.001),
    (0.0, 1.0),
    (0.5, 0.75),
    (1.0, 9.0),
    (3.0, 5.0),
    (3.0, math.inf),
    (8.0, 10.0),
    (37.0, 38.0),
    (37.0, 37.0001),
    (1e4, math.inf),
]
AROUND_MEAN = [(-4.0, 1.0), (-5.0, 5.0), (-0.001, 4.0), (-1e-6, 1e9), (-6.5, 3.2), (-math.inf, 0.5)]


def words(count: int = DENSE, seed: int = 0) -> npt.NDArray[np.uint64]:
    """Dense random words, and the edges: 0, 2**32 - 1, powers of two and their neighbours."""
    rng = np.random.default_rng(seed)
    powers = 2 ** np.arange(32, dtype=np.int64)
    edges = np.concatenate([powers, powers - 1, powers + 1, 2**32 - powers, np.arange(1024)])
    edges = np.concatenate([edges, 2**32 - 1 - np.arange(1024)]) % 2**32
    return np.concatenate([edges.astype(np.uint64), rng.integers(0, 2**32, count, np.uint64)])


def relative(value: Any, exact: F64) -> float:
    return float(np.max(np.abs(np.asarray(value, np.float64) / exact - 1)) / UNIT)


def absolute(value: Any, exact: F64) -> float:
    return float(np.max(np.abs(np.asarray(value, np.float64) - exact)) / UNIT)


def exact_fraction(word: npt.NDArray[np.uint64]) -> F64:
    return (word.astype(np.float64) + 0.5) * 2.0**-32


def fraction_error() -> float:
    return relative(sampling.fraction(words()), exact_fraction(words()))


def neg_log_inputs() -> npt.NDArray[np.float32]:
    """Every float32 near 1, and dense samples of (0, 1)."""
    near = np.float32(1) - np.arange(1, 1 << 16, dtype=np.float32) * np.float32(UNIT)
    spread = np.exp2(-33 * np.random.default_rng(1).random(DENSE)).astype(np.float32)
    return np.concatenate([near, spread, sampling.fraction(words())])


def neg_log_error() -> float:
    u = neg_log_inputs()
    u = u[u < 1]
    return relative(sampling.neg_log(u), -np.log(u.astype(np.float64)))


def exact_pair(radius_word: Any, angle_word: Any) -> tuple[F64, F64]:
    radius = np.sqrt(-2 * np.log(exact_fraction(radius_word)))
    half = np.uint64(1 << 31)
    turn = exact_fraction((angle_word - np.uint64(1)) % half + (angle_word & half)) * 2 * np.pi
    return radius * np.cos(turn), radius * np.sin(turn)


def pairs() -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    radius, angle = words(seed=2), words(seed=3)
    return np.concatenate([radius, radius[::-1]]), np.concatenate([angle, angle])


def standard_pair(radius_word: Any, angle_word: Any) -> tuple[Any, Any]:
    return sampling.normal_pair(radius_word, angle_word, np.float32(1), np.float32(0))


def normal_error(lowest: float, highest: float) -> float:
    """Absolute, of pairs whose radius lies in [lowest, highest).

    The radius is the root of -2 ln(u), and u near 1 is a multiple of 2**-24.
    """
    radius_word, angle_word = pairs()
    radius = np.sqrt(-2 * np.log(exact_fraction(radius_word)))
    part = (radius >= lowest) & (radius < highest)
    chosen = radius_word[part], angle_word[part]
    got, exact = standard_pair(*chosen), exact_pair(*chosen)
    return max(absolute(g, e) for g, e in zip(got, exact, strict=True))


def normal_tail_error() -> float:
    """Relative, of samples beyond one standard deviation."""
    got, exact = standard_pair(*pairs()), exact_pair(*pairs())
    far = [np.abs(e) > 1 for e in exact]
    return max(relative(g[f], e[f]) for g, e, f in zip(got, exact, far, strict=True))


def central_inputs(reach: float) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(4)
    small = np.exp2(-30 * rng.random(1 << 12))
    x = np.concatenate([rng.uniform(-1, 1, DENSE), small, [1.0, -1.0]]) * reach
    return x.astype(np.float32)[np.abs(x) <= reach]


def central_error(function: Callable[[Any], Any], reach: float) -> float:
    x = central_inputs(reach)
    return relative(function(x), math.sqrt(2) * special.erfinv(x.astype(np.float64)))


def mills(z: F64) -> F64:
    return math.sqrt(math.pi / 2) * np.asarray(special.erfcx(z / math.sqrt(2)))


def exact_increment(alpha: float, level: F64) -> F64:
    """The d with ln Q(alpha) - ln Q(alpha + d) = level, by Newton's method."""
    kappa = 1 / mills(np.asarray(alpha))
    d = 2 * level / (kappa + np.sqrt(kappa**2 + 2 * level))
    for _ in range(40):
        fall = alpha * d + d * d / 2 + np.log(mills(np.asarray(alpha)) / mills(alpha + d))
        d = d - (fall - level) * mills(alpha + d)
    return d


def standard(alpha: float, beta: float) -> truncated.Bounds:
    low, high = Decimal(alpha), Decimal(beta)
    return truncated.Bounds(low, high, high - low)


def params_of(fit: truncated.TailFit, *shares: Decimal) -> sampling.Params:
    head = (fit.curvature, fit.scale, fit.centre, *fit.coefficients, *shares)
    return tuple(np.float32(float(value)) for value in head)


def tail_distance_error(alpha: float, beta: float) -> float:
    part = truncated.one_tail(standard(alpha, beta), 32, 9)
    reach = 33 * math.log(2) if math.isinf(beta) else -float(part.floor.ln())
    low = np.log(min(reach, 33 * math.log(2)))
    level = np.exp(low - 12 * np.random.default_rng(5).random(1 << 16)).astype(np.float32)
    got = sampling.tail_distance(level, params_of(part.fit)).astype(np.float64)
    return relative(got * float(part.fit.unit), exact_increment(alpha, level.astype(np.float64)))


def one_tail_error(alpha: float, beta: float) -> float:
    """Error of z = alpha + d relative to the larger of 1 and z."""
    part = truncated.one_tail(standard(alpha, beta), 32, 9)
    word = words(1 << 16, seed=6)
    got = sampling.one_tail(word, params_of(part.fit, part.mass, part.floor)).astype(np.float64)
    u, v = exact_fraction(word), exact_fraction(np.uint64(2**32 - 1) - word)
    mass, floor = float(part.mass), float(part.floor)
    level = np.where(u < 0.5, -np.log(floor + mass * u), -np.log1p(-mass * v))
    exact = exact_increment(alpha, level)
    scale = np.maximum(1.0, alpha + exact)
    return absolute(got * float(part.fit.unit) / scale, exact / scale)


def two_tails_errors(alpha: float, beta: float) -> tuple[float, float]:
    """Errors of z: of the larger of 1 and abs(z), and relative ones, beyond 2**-20."""
    part = truncated.two_tails(standard(alpha, beta), 32, 9)
    sides = truncated.share_words(part)
    near = np.exp2(np.linspace(1, 28, 1 << 13)).astype(np.int64)
    near = np.concatenate([sides.below + near, sides.below - near]) % 2**32
    word = np.concatenate([words(1 << 16, seed=7), near.astype(np.uint64)])
    halves = (Decimal(half) for half in divmod(sides.below, 2**16))
    params = params_of(part.fit, sides.step, sides.end, *halves)
    got = sampling.two_tails(word, params).astype(np.float64)
    right = word.astype(np.int64) - sides.below
    outward = np.where(right < 0, -1 - right, right)
    last = max(sides.below, 2**32 - sides.below) - 1
    t = float(sides.step) * (last - outward) + float(sides.end)
    v = float(sides.step) * (outward + 0.5)
    distance = np.where(v < 0.5, math.sqrt(2) * special.erfinv(v), -special.ndtri(t / 2))
    exact = np.where(right < 0, -distance, distance)
    scale = np.maximum(1.0, distance)
    z = got * float(part.fit.unit)
    seen = distance >= 2.0**-20  # of smaller ones the error is some 2**-13 of a word's step
    return absolute(z / scale, exact / scale), relative(z[seen], exact[seen])


LIMITS: dict[str, tuple[Measure, float]] = {
    "fraction": (fraction_error, 2.0),
    "neg_log": (neg_log_error, 4.5),
    "normal_pair, absolute, radius < 1/8": (lambda: normal_error(0, 0.125), 2700.0),
    "normal_pair, absolute, radius < 1": (lambda: normal_error(0.125, 1.0), 6.5),
    "normal_pair, absolute, radius >= 1": (lambda: normal_error(1.0, 7.0), 20.0),
    "normal_pair beyond 1 sigma": (normal_tail_error, 7.5),
    "central_rational": (lambda: central_error(sampling.central_rational, RATIONAL_REACH), 6.5),
    "central_log": (lambda: central_error(sampling.central_log, LOG_REACH), 6.5),
    "tail_distance": (lambda: max(tail_distance_error(*b) for b in ONE_SIDED), 6.0),
    "one_tail, of max(1, z)": (lambda: max(one_tail_error(*b) for b in ONE_SIDED), 5.5),
    "two_tails, of max(1, z)": (lambda: max(two_tails_errors(*b)[0] for b in AROUND_MEAN), 6.0),
    "two_tails beyond 2^-20": (lambda: max(two_tails_errors(*b)[1] for b in AROUND_MEAN), 8.5),
}


@pytest.mark.parametrize("name", LIMITS)
def test_largest_error(name: str) -> None:
    measure, limit = LIMITS[name]
    found = measure()
    assert found <= limit
    assert found > limit / 2, "the limit is not what was measured"


def test_values_at_the_edges() -> None:
    one = np.float32(1)
    assert sampling.neg_log(one) == 0
    assert sampling.fraction(np.uint64(0)) == np.float32(2.0**-33)
    assert sampling.fraction(np.uint64(2**32 - 1)) == one
    assert sampling.central_rational(np.float32(0)) == 0
    assert sampling.central_log(np.float32(0)) == 0
    largest = -standard_pair(np.uint64(0), np.uint64(0))[0]
    assert largest == pytest.approx(math.sqrt(66 * math.log(2)), rel=2e-7)


if __name__ == "__main__":
    for name, (measure, limit) in LIMITS.items():
        print(f"{name}: {measure():.2f} (limit {limit})")
    for bounds in ONE_SIDED:
        print(bounds, f"{tail_distance_error(*bounds):.2f} {one_tail_error(*bounds):.2f}")
    for bounds in AROUND_MEAN:
        print(bounds, *(f"{error:.2f}" for error in two_tails_errors(*bounds)))
