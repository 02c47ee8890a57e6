"""How far the float64 sampling functions are from the exact ones, in units of 2**-53."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any

import mpmath as mp
import numpy as np
import numpy.typing as npt
import pytest

from tritoninit import sampling64, truncated

UNIT = 2.0**-53
COUNT = 1500
Bounds = tuple[float, float]
DIGITS = 60
DEGREE = 31


def words(seed: int) -> npt.NDArray[np.uint64]:
    """Random words and the edges, as far as 52 bits tell them apart."""
    rng = np.random.default_rng(seed)
    powers = np.uint64(1) << np.arange(64, dtype=np.uint64)
    edges = np.concatenate([powers, powers - np.uint64(1), np.uint64(0) - powers])
    return np.concatenate([edges, rng.integers(0, 2**64, COUNT, np.uint64)])


def exact_fraction(word: int) -> Any:
    return (mp.mpf(word >> 12) + 0.5) / mp.mpf(2) ** 52


def largest(got: Any, exact: list[Any], scale: Callable[[Any], Any] = abs) -> float:
    """The largest error as a share of scale(exact)."""
    pairs = zip(np.asarray(got).tolist(), exact, strict=True)
    return float(max(abs(mp.mpf(g) - e) / scale(e) for g, e in pairs) / UNIT)


def neg_log_error() -> float:
    u = sampling64.fraction(words(0))
    return largest(sampling64.neg_log(u), [-mp.log(mp.mpf(x)) for x in u.tolist()])


def normal_error() -> float:
    """Relative to the radius."""
    radius_words, angle_words = words(1), words(2)[::-1]
    got = sampling64.normal_pair(radius_words, angle_words)
    errors = []
    for k, (a, b) in enumerate(zip(radius_words.tolist(), angle_words.tolist(), strict=True)):
        radius = mp.sqrt(-2 * mp.log(exact_fraction(a)))
        quadrant = b + (1 << 61)
        within = (b << 2) & (2**64 - 1)
        signed = (within - 2**64 if within >> 63 else within) >> 12
        turn = (mp.mpf(signed) + 0.5) / mp.mpf(2) ** 54 + mp.mpf(quadrant >> 62 & 3) / 4
        for value, exact in zip(got, (mp.cos, mp.sin), strict=True):
            difference = mp.mpf(float(value[k])) - radius * exact(2 * mp.pi * turn)
            errors.append(abs(difference) / radius)
    return float(max(errors) / UNIT)


Errors = tuple[list[Any], list[Any]]  # absolute, and the exact distances from the bound or the mean


@lru_cache
def one_tail_errors(alpha: float, beta: float) -> Errors:
    """Of the distance from the bound, in standard deviations."""
    low, high = Decimal(alpha), Decimal(beta)
    part = truncated.one_tail(truncated.Bounds(low, high, high - low), 64, DEGREE)
    got = sampling64.one_tail(words(3), params(part.fit, part.mass, part.floor))
    start, unit = mp.mpf(alpha), mp.mpf(str(part.fit.unit))
    first, last = mp.ncdf(-start), mp.ncdf(-mp.mpf(beta))
    found: Errors = ([], [])
    for word, value in zip(words(3).tolist(), got.tolist(), strict=True):
        d = mp.mpf(value) * unit
        error = missed(start + d, last + (first - last) * exact_fraction(word))
        found[0].append(error)
        found[1].append(d - error)
    return found


@lru_cache
def two_tails_errors(alpha: float, beta: float) -> Errors:
    """Of the distance from the mean, in standard deviations."""
    low, high = Decimal(alpha), Decimal(beta)
    part = truncated.two_tails(truncated.Bounds(low, high, high - low), 64, DEGREE)
    shares = (part.mass, part.below, part.above, part.start)
    got = sampling64.two_tails(words(4), params(part.fit, *shares))
    unit = mp.mpf(str(part.fit.unit))
    below, above = mp.ncdf(mp.mpf(alpha)), mp.ncdf(-mp.mpf(beta))
    found: Errors = ([], [])
    for word, value in zip(words(4).tolist(), got.tolist(), strict=True):
        u, d = exact_fraction(word), abs(mp.mpf(value)) * unit
        start, share = (below, u) if value < 0 else (above, 1 - u)
        error = missed(d, start + (1 - below - above) * share)
        found[0].append(error)
        found[1].append(d - error)
    return found


def params(fit: truncated.TailFit, *shares: Decimal) -> tuple[np.float64, ...]:
    head = (fit.curvature, fit.scale, fit.centre, *fit.coefficients, *shares)
    return tuple(np.float64(float(value)) for value in head)


def missed(z: Any, survival: Any) -> Any:
    """How far z is from where Q has this value: a Newton step on ln Q, from z itself."""
    return (mp.log(survival) - mp.log(mp.ncdf(-z))) * mp.ncdf(-z) / mp.npdf(z)


def worst(errors: Callable[[float, float], Errors], bounds: list[Bounds], floor: float) -> float:
    """The largest error over the larger of ``floor`` and the value's distance from the mean, or,
    with a floor of 0, relative to the distance from the bound."""
    shares = []
    for alpha, beta in bounds:
        start = mp.mpf(alpha) if floor and errors is one_tail_errors else 0
        for error, distance in zip(*errors(alpha, beta), strict=True):
            shares.append(abs(error) / max(floor, start + distance))
    return float(max(shares) / UNIT)


# Next to the mean and far from it, wide, narrow and open.
ONE_TAIL: list[Bounds] = [
    *((0.0, 1.0), (0.0, 1e-9), (0.0, math.inf), (1e-3, math.inf), (0.5, 8.5), (1.0, 1.0000001)),
    *((3.0, 5.0), (8.0, 30.0), (37.0, math.inf), (1e3, 1e3 + 1e-3), (1e8, math.inf)),
]
TWO_TAILS: list[Bounds] = [(-2.0, 2.0), (-1e-3, 0.2), (-4.0, 1.0), (-1.0, 30.0), (-6.0, 6.9)]
NARROW: list[Bounds] = [(-1e-3, 0.2), (-1e-6, 1e-6), (-1e-12, 3e-12), (-1e-17, 1e-17)]


def narrow_error() -> float:
    """Of the width between the bounds."""
    shares = []
    for alpha, beta in NARROW:
        shares += [error / (beta - alpha) for error in two_tails_errors(alpha, beta)[0]]
    return float(max(map(abs, shares)) / UNIT)


LIMITS: dict[str, tuple[Callable[[], float], float]] = {
    "neg_log": (neg_log_error, 3.0),
    "normal_pair, of the radius": (normal_error, 2.5),
    "one_tail, of the distance from the bound": (lambda: worst(one_tail_errors, ONE_TAIL, 0), 7.5),
    "one_tail, relative to max(1, z)": (lambda: worst(one_tail_errors, ONE_TAIL, 1), 4.7),
    "two_tails, relative to max(1, z)": (lambda: worst(two_tails_errors, TWO_TAILS, 1), 4.7),
    "two_tails, of the width between narrow bounds": (narrow_error, 6.5),
}


def test_fractions_are_exact() -> None:
    edges = np.array([0, 4095, 4096, 2**63, 2**64 - 4096, 2**64 - 1], np.uint64)
    for word in (edges, words(5)):
        exact = [exact_fraction(w) for w in word.tolist()]
        assert [mp.mpf(u) for u in sampling64.fraction(word).tolist()] == exact
    assert sampling64.fraction(edges).min() > 0
    assert sampling64.fraction(edges).max() < 1


def test_the_largest_normal_is_8_49() -> None:
    """A radius word of 0, and an angle of all but 0."""
    zero = np.zeros(1, np.uint64)
    (cosine,), _ = sampling64.normal_pair(zero, zero)
    assert cosine == pytest.approx(math.sqrt(2 * 53 * math.log(2)), rel=1e-12)


@pytest.mark.parametrize("name", LIMITS)
def test_largest_error(name: str) -> None:
    measure, limit = LIMITS[name]
    with mp.workdps(DIGITS):
        found = measure()
    assert found <= limit
    assert found > limit / 2, "the limit is not what was measured"


def test_series_are_long_enough() -> None:
    """The first term left out of each series is below half a unit at the end of its range."""
    f = (math.sqrt(2) - 1) / (math.sqrt(2) + 1)
    assert f ** (2 * len(sampling64.ATANH)) * 2 / (2 * len(sampling64.ATANH) + 1) < UNIT / 2
    x = math.pi / 4
    assert x ** (2 * len(sampling64.SINE)) / math.factorial(2 * len(sampling64.SINE) + 1) < UNIT / 2
    assert x ** (2 * len(sampling64.COSINE)) / math.factorial(2 * len(sampling64.COSINE)) < UNIT / 2


if __name__ == "__main__":
    with mp.workdps(DIGITS):
        for name, (measure, limit) in LIMITS.items():
            print(f"{name}: {measure():.2f} (limit {limit})")
