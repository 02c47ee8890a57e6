"""How far the float64 sampling functions are from the exact ones, in units of 2**-53."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import mpmath as mp
import numpy as np
import numpy.typing as npt
import pytest

from tritoninit import sampling64, truncated

UNIT = 2.0**-53
COUNT = 1500
DIGITS = 50
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


def one_tail_error(alpha: float, beta: float) -> float:
    """Error of z = alpha + d relative to the larger of 1 and z."""
    low, high = Decimal(alpha), Decimal(beta)
    part = truncated.one_tail(truncated.Bounds(low, high, high - low), 64, DEGREE)
    fit, chosen = part.fit, words(3)[::12]
    head = (fit.curvature, fit.scale, fit.centre, *fit.coefficients, part.mass, part.floor)
    got = sampling64.one_tail(chosen, tuple(np.float64(float(value)) for value in head))
    start = mp.mpf(alpha)
    q0, q1 = mp.ncdf(-start), mp.ncdf(-mp.mpf(beta))
    exact = []
    for word, d in zip(chosen.tolist(), (got * float(fit.unit)).tolist(), strict=True):
        share = exact_fraction(word)
        target = q1 + (q0 - q1) * share
        z = start + mp.mpf(d)  # one Newton step on ln Q from the value itself
        density = mp.npdf(z) / mp.ncdf(-z)
        exact.append(mp.mpf(d) + (mp.log(mp.ncdf(-z)) - mp.log(target)) / density)
    return largest(got * float(fit.unit), exact, lambda e: max(mp.mpf(1), start + e))


LIMITS: dict[str, tuple[Callable[[], float], float]] = {
    "neg_log": (neg_log_error, 3.0),
    "normal_pair, of the radius": (normal_error, 2.5),
    "one_tail, bounds up to 1 sigma apart": (lambda: one_tail_error(0.0, 1.0), 3.5),
    "one_tail, far": (lambda: max(one_tail_error(3.0, 5.0), one_tail_error(8.0, 30.0)), 1.0),
    # The polynomial of degree 31 over the whole half line is good to 2**-54.
    "one_tail, from the mean on": (lambda: one_tail_error(0.0, math.inf), 4.0),
}


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
