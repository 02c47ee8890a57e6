"""From random words to float64 samples: the double-precision stream.

An element takes two lanes of a block, high word first.  No fused multiply-add is used: each
operation rounds once, so numpy, numba and a compiler told not to contract give the same bits.
The series are Taylor's, long enough for the last bit of float64.
"""

from __future__ import annotations

import math

import numpy as np

from tritoninit.arith import (
    F64,
    I64,
    U64,
    bits_of_f64,
    clamp,
    divide,
    f64_of_bits,
    select,
    sqrt,
    to_f64,
    to_i64,
)

Two = tuple[F64, F64]
Params = tuple[np.float64, ...]

HALF = np.uint64(32)
ONE = np.float64(1.0)
ONE_HALF = np.float64(0.5)
TWO_M52 = np.float64(2.0**-52)
LOW53 = np.uint64((1 << 53) - 1)
FRACTION_SHIFT = np.uint64(12)
TWO = np.uint64(2)
ALL64 = np.uint64((1 << 64) - 1)
HALF_QUADRANT = np.uint64(1 << 61)
SIGN = np.uint64(1 << 63)
ODD_QUADRANT = np.uint64(1 << 62)

SQRT_HALF_BITS = np.int64(0x3FE6A09E667F3BCD)
EXPONENT_MASK = np.int64(-(1 << 52))
LN2 = np.float64(0.69314718055994531)
TWO_F = np.float64(2.0)
# 2 atanh(f) = 2 f (1 + f^2/3 + f^4/5 + ...), f^2 <= 0.0295: eleven terms reach 2**-60.
ATANH = tuple(np.float64(2.0 / (2 * n + 1)) for n in range(11))
HALF_PI = np.float64(1.5707963267948966)
SINE = tuple(np.float64((-1.0) ** n / math.factorial(2 * n + 1)) for n in range(9))
COSINE = tuple(np.float64((-1.0) ** n / math.factorial(2 * n)) for n in range(10))


def uniform(word: U64, scale: np.float64, low: np.float64) -> F64:
    """low + scale * k for k the low 53 bits of the word."""
    return to_f64(word & LOW53) * scale + low


def fraction(word: U64) -> F64:
    """(the top 52 bits + 1/2) / 2**52: in (0, 1), exact."""
    return (to_f64(word >> FRACTION_SHIFT) + ONE_HALF) * TWO_M52


def neg_log(u: F64) -> F64:
    """-ln(u): u = 2**e (1 + m) with 1 + m in [sqrt(1/2), sqrt(2)), ln(1 + m) = 2 atanh(f)."""
    bits = bits_of_f64(u)
    exponent = (bits - SQRT_HALF_BITS) & EXPONENT_MASK
    m = f64_of_bits(bits - exponent) - ONE
    f = divide(m, m + TWO_F)
    q = f * f
    series = ATANH[10] * q + ATANH[9]
    for n in range(8, -1, -1):
        series = series * q + ATANH[n]
    return -(scaled_exponent(exponent) * LN2 + f * series)


def scaled_exponent(exponent: I64) -> F64:
    """The exponent field, shifted left by 52 bits, as a number."""
    return to_f64(exponent) * TWO_M52


def normal_pair(radius_word: U64, angle_word: U64) -> Two:
    """Two standard normals by Box and Muller: sqrt(-2 ln u) (cos t, sin t)."""
    radius = sqrt(TWO_F * neg_log(fraction(radius_word)))
    quadrant = angle_word + HALF_QUADRANT
    turned = to_i64(angle_word << TWO) >> np.int64(12)
    x = (to_f64(turned) + ONE_HALF) * TWO_M52 * HALF_PI
    q = x * x
    s = SINE[8] * q + SINE[7]
    for n in range(6, -1, -1):
        s = s * q + SINE[n]
    s = s * x
    c = COSINE[9] * q + COSINE[8]
    for n in range(7, -1, -1):
        c = c * q + COSINE[n]
    odd = (quadrant & ODD_QUADRANT) != 0
    cosine = flip(select(odd, s, c), (quadrant ^ (quadrant << np.uint64(1))) & SIGN)
    sine = flip(select(odd, c, s), quadrant & SIGN)
    return radius * cosine, radius * sine


def flip(x: F64, sign: U64) -> F64:
    """x with its sign bit toggled where ``sign`` has bit 63 set."""
    return f64_of_bits(bits_of_f64(x) ^ to_i64(sign))


def tail_distance(log_survival: F64, p: Params) -> F64:
    """As in ``sampling.py``, with the polynomial p[3:35] of degree 31."""
    r = sqrt(log_survival * p[0] + ONE)
    reciprocal = divide(ONE, r + ONE)
    s = reciprocal * p[1] + p[2]
    y = p[34] * s + p[33]
    for n in range(32, 2, -1):
        y = y * s + p[n]
    return log_survival * reciprocal * y


def one_tail(word: U64, p: Params) -> F64:
    """Distance from the bound nearer the mean: survival t = p[36] + p[35] u."""
    t = fraction(word) * p[35] + p[36]
    v = fraction(word ^ ALL64) * p[35]
    return tail_distance(neg_log(t) + ((t - ONE) + v), p)


def two_tails(word: U64, p: Params) -> F64:
    """A truncated standard normal on both sides of its mean: x = erf(z / sqrt 2) has its sign.

    The tail t keeps its relative precision far out, abs(x) = 1 - t keeps it at the mean.
    """
    share = fraction(word) * p[35]
    x = share + p[38]
    left = x < 0
    t = select(left, share + p[36], fraction(word ^ ALL64) * p[35] + p[37])
    distance = tail_distance(neg_log(t) + ((t - ONE) + select(left, -x, x)), p)
    return select(left, -distance, distance)


def scaled(z: F64, p: Params, at: int) -> F64:
    """p[at] * z + p[at + 1], brought into [p[at + 2], p[at + 3]]."""
    return clamp(p[at] * z + p[at + 1], p[at + 2], p[at + 3])


def uniform2(r0: U64, r1: U64, r2: U64, r3: U64, p: Params) -> Two:
    """p = (scale, low)."""
    return uniform(r0 << HALF | r1, p[0], p[1]), uniform(r2 << HALF | r3, p[0], p[1])


def normal2(r0: U64, r1: U64, r2: U64, r3: U64, p: Params) -> Two:
    """p = (std, mean)."""
    x, y = normal_pair(r0 << HALF | r1, r2 << HALF | r3)
    return p[0] * x + p[1], p[0] * y + p[1]


def clamped_normal2(r0: U64, r1: U64, r2: U64, r3: U64, p: Params) -> Two:
    """p = (std, mean, low, high)."""
    x, y = normal_pair(r0 << HALF | r1, r2 << HALF | r3)
    return scaled(x, p, 0), scaled(y, p, 0)


def tail2(r0: U64, r1: U64, r2: U64, r3: U64, p: Params) -> Two:
    """p = (c, s scale, s centre, 32 coefficients, mass, floor, scale, bound, low, high)."""
    x, y = one_tail(r0 << HALF | r1, p), one_tail(r2 << HALF | r3, p)
    return scaled(x, p, 37), scaled(y, p, 37)


def tails2(r0: U64, r1: U64, r2: U64, r3: U64, p: Params) -> Two:
    """p = (c, s scale, s centre, 32 coefficients, 4 shares, scale, mean, low, high).

    The shares are mass, below, above and start of ``truncated.TwoTails``.
    """
    x, y = two_tails(r0 << HALF | r1, p), two_tails(r2 << HALF | r3, p)
    return scaled(x, p, 39), scaled(y, p, 39)
