"""The emulated fused multiply-add against exact rational arithmetic."""

from __future__ import annotations

import struct
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tritoninit import arith

SMALLEST = 2.0**-149
LARGEST = 2.0**128 - 2.0**104


def nearest_single(value: Fraction) -> float:
    """The float32 nearest to a rational, ties to even; infinite where it overflows."""
    if value == 0:
        return 0.0
    size = abs(value)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    while Fraction(2) ** (exponent + 1) <= size:
        exponent += 1
    while Fraction(2) ** exponent > size:
        exponent -= 1
    step = Fraction(2) ** max(exponent - 23, -149)
    rounded = round(size / step) * step  # Fraction rounds halves to even
    if rounded > Fraction(LARGEST):
        return float("inf") if value > 0 else float("-inf")
    return float(rounded) if value > 0 else -float(rounded)


def bits(value: float) -> bytes:
    return struct.pack("<f", value)


singles = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(derandomize=True, deadline=None, max_examples=3000)
@given(singles, singles, singles)
@example(1 + 2.0**-23, 1 + 2.0**-23, 2.0**-60)  # just above a tie: float64 alone drops the sum
@example(1 + 2.0**-23, 1 + 2.0**-23, -(2.0**-60))
@example(1 + 2.0**-23, 1 - 2.0**-23, -1.0)  # exact cancellation to -2**-46
@example(2.0**-75, 2.0**-74, 0.0)  # half of the smallest subnormal
@example(2.0**-75, 2.0**-74, SMALLEST)
@example(2.0**-100, 2.0**-100, 1.0)
@example(2.0**-100, -(2.0**-100), 1.0)
@example(LARGEST, 1.0, 2.0**103)  # half a step above the largest: rounds to infinity
@example(LARGEST, 1.0, 2.0**102)
@example(16777215.0, 2.0**-24, 2.0**-25)
def test_fma_rounds_once(a: float, b: float, c: float) -> None:
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    with np.errstate(over="ignore"):
        got = arith.fma(np.float32(a), np.float32(b), np.float32(c))
    assert got == nearest_single(exact)


@settings(derandomize=True, deadline=None, max_examples=500)
@given(st.integers(0, 2**24 - 1), st.integers(0, 2**24 - 1), st.integers(-40, 40))
def test_fma_near_ties(a: int, b: int, shift: int) -> None:
    """c far below the product decides which way a product half way between two floats goes."""
    x, y = np.float32(a | 1), np.float32(b | 1)
    c = np.float32(np.ldexp(1.0, shift))
    for sign in (1, -1):
        exact = Fraction(float(x)) * Fraction(float(y)) + sign * Fraction(float(c))
        assert arith.fma(x, y, np.float32(sign) * c) == nearest_single(exact)


def test_two_roundings_would_differ() -> None:
    """The product is half way between two floats; only c says which is nearer."""
    a, c = np.float32(1 + 2.0**-12), np.float32(2.0**-80)
    assert a * a + c == np.float32(1 + 2.0**-11)
    assert arith.fma(a, a, c) == np.float32(1 + 2.0**-11 + 2.0**-23)


def test_fma_works_on_arrays() -> None:
    rng = np.random.default_rng(0)
    a, b, c = (rng.standard_normal(500).astype(np.float32) for _ in range(3))
    got = arith.fma(a, b, c)
    assert got.dtype == np.float32
    exact = [
        nearest_single(Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z)))
        for x, y, z in zip(a, b, c, strict=True)
    ]
    np.testing.assert_array_equal(got, np.array(exact, dtype=np.float32))


def test_conversions_keep_bits() -> None:
    words = np.array([0, 1, 2**31 - 1, 2**31, 2**32 - 1], dtype=np.uint64)
    narrow = arith.to_u32(words | np.uint64(7 << 40))
    np.testing.assert_array_equal(narrow, words.astype(np.uint32))
    assert arith.to_i32(narrow).tolist() == [0, 1, 2**31 - 1, -(2**31), -1]
    np.testing.assert_array_equal(arith.to_u64(narrow), words)
    assert arith.to_i64(np.array([2**64 - 1], dtype=np.uint64)).tolist() == [-1]
    assert arith.whole(np.float32(65535)) == 65535
    singles = np.array([-0.0, 1.5, np.inf], dtype=np.float32)
    np.testing.assert_array_equal(arith.f32_of_bits(arith.bits_of_f32(singles)), singles)
    doubles = np.array([-0.0, 1.5, np.inf])
    np.testing.assert_array_equal(arith.f64_of_bits(arith.bits_of_f64(doubles)), doubles)


@pytest.mark.parametrize(
    ("integer", "single"), [(2**24 + 1, 2.0**24), (2**24 + 3, 2.0**24 + 4), (2**32 - 1, 2.0**32)]
)
def test_integers_are_rounded_to_even(integer: int, single: float) -> None:
    assert float(arith.to_f32(np.uint32(integer))) == single


def test_clamp_and_select() -> None:
    x = np.array([-3.0, 0.5, 9.0], dtype=np.float32)
    low, high = np.float32(-1), np.float32(2)
    assert arith.clamp(x, low, high).tolist() == [-1.0, 0.5, 2.0]
    assert arith.select(x > 0, x, -x).tolist() == [3.0, 0.5, 9.0]
