"""The normal distribution in decimal arithmetic against mpmath."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal

import mpmath as mp
import pytest

from tritoninit.special import (
    half_mass,
    log_survival,
    mills,
    survival,
    tail_increment,
    truncated_std,
)

DIGITS = 70
# 0, both sides of the switch from the series to the continued fraction at 8, and far out.
POINTS = ["0", "1e-9", "0.3", "1", "2", "4.5", "7.9999", "8", "8.0001", "12", "37.5", "1e3", "1e5"]
RELATIVE = 1e-25


def exact(value: Decimal) -> mp.mpf:
    return mp.mpf(str(value))


def exact_survival(z: Decimal) -> mp.mpf:
    return mp.erfc(exact(z) / mp.sqrt(2)) / 2


def relative(value: Decimal, reference: mp.mpf) -> float:
    return float(abs(exact(value) / reference - 1))


@pytest.mark.parametrize("point", POINTS)
def test_mills(point: str) -> None:
    z = Decimal(point)
    with mp.workdps(DIGITS):
        assert relative(mills(z), exact_survival(z) / mp.npdf(exact(z))) < RELATIVE


@pytest.mark.parametrize("point", POINTS)
def test_survival(point: str) -> None:
    z = Decimal(point)
    with mp.workdps(DIGITS):
        assert relative(survival(z), exact_survival(z)) < RELATIVE
        assert relative(log_survival(z), mp.log(exact_survival(z))) < RELATIVE
        assert relative(survival(-z), 1 - exact_survival(z)) < RELATIVE


@pytest.mark.parametrize("point", [*POINTS[1:], "1e-40", "1e-300"])
def test_half_mass(point: str) -> None:
    z = Decimal(point)
    with mp.workdps(DIGITS):
        assert relative(half_mass(z), mp.erf(exact(z) / mp.sqrt(2)) / 2) < RELATIVE


def test_survival_at_infinity() -> None:
    assert half_mass(Decimal("inf")) == Decimal("0.5")
    assert survival(Decimal("inf")) == 0
    assert survival(Decimal("-inf")) == 1


@pytest.mark.parametrize(
    ("point", "log_ratio"),
    list(
        itertools.product(["0", "0.5", "3", "8", "37.5", "1e4"], ["1e-12", "0.01", "1", "23", "46"])
    ),
)
def test_tail_increment(point: str, log_ratio: str) -> None:
    """Relative to the log ratio itself, the largest error of the equation that d solves."""
    z, level = Decimal(point), Decimal(log_ratio)
    with mp.workdps(DIGITS):
        d = exact(tail_increment(z, level))
        fall = mp.log(exact_survival(z)) - mp.log(mp.erfc((exact(z) + d) / mp.sqrt(2)) / 2)
        assert float(abs(fall / exact(level) - 1)) < 1e-22


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("-2", "2"),
        ("-1", "3"),
        ("0", "inf"),
        ("-inf", "inf"),
        ("3", "5"),
        ("-10", "-8"),
        ("37", "38"),
        ("100", "inf"),
        ("-0.001", "0.001"),
        ("5", "5.00000001"),
        ("20", "20.0000000000001"),
    ],
)
def test_truncated_std(low: str, high: str) -> None:
    with mp.workdps(DIGITS):
        a, b = mp.mpf(low), mp.mpf(high)
        if b <= 0:
            a, b = -b, -a
        cut = min(b, (a if a > 0 else 0) + 40)
        start = max(a, mp.mpf(-40))
        nodes = [start + (cut - start) * k / 40 for k in range(41)]
        peak = max(start, mp.mpf(0)) ** 2 / 2

        def raw(k: int) -> mp.mpf:
            return mp.quad(lambda x: (x - start) ** k * mp.exp(peak - x * x / 2), nodes)

        mass, first, second = raw(0), raw(1), raw(2)
        reference = mp.sqrt(second / mass - (first / mass) ** 2)
        assert truncated_std(Decimal(low), Decimal(high)) == pytest.approx(
            float(reference), rel=1e-9
        )


def test_truncated_std_of_a_point() -> None:
    assert truncated_std(Decimal(2), Decimal(2)) == 0.0


def test_far_tails_exist() -> None:
    """Q(1e4) underflows every binary format; its logarithm does not."""
    assert 0 < survival(Decimal(10**4)) < Decimal("1e-21714724")
    assert math.isclose(float(log_survival(Decimal(10**4))), -5e7 - 10.1293, rel_tol=1e-9)
