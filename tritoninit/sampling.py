"""From random words to float32 samples: the CPU source, mirrored by ``kernels/sampling.py``.

The functions are written once and run twice: on numpy arrays with the operations of
``arith.py``, and compiled by numba, whose backend replaces those operations by machine
instructions.  The constants and the order of operations are those of the Triton kernels,
function for function, so that all three give the same bits.  Only integer operations, IEEE
add, subtract, multiply, divide, square root, and explicit fused multiply-add appear.
"""

from __future__ import annotations

import numpy as np

from tritoninit.arith import (
    F32,
    U64,
    bits_of_f32,
    clamp,
    divide,
    f32_of_bits,
    fma,
    select,
    sqrt,
    to_f32,
    to_i32,
    to_i64,
    to_u32,
    whole,
)
from tritoninit.coefficients import LN2, MINUS_LN2, C, L, P, Q, R, S, W

Four = tuple[F32, F32, F32, F32]
Params = tuple[np.float32, ...]

ONE = np.float32(1.0)
ONE_HALF = np.float32(0.5)
TWO = np.float32(2.0)
TWO_M32 = np.float32(2.0**-32)
TWO_M33 = np.float32(2.0**-33)
TWO_M31 = np.float32(2.0**-31)
BELOW_TWO = np.float32(2.0**-31 - 2.0**-55)  # times 2**32, the largest float32 below 2
EXCESS = np.float32(-0.75 * 2.0**-29)  # three quarters of what that adds to -2 ln(u) / 64
LEAST = np.float32(2.0**-24)
LOW24 = np.uint64(0xFFFFFF)
ALL32 = np.uint64(0xFFFFFFFF)
ONE_BIT = np.uint64(1)
SIGN = np.uint64(1 << 31)
QUARTER = np.uint64((1 << 31) + 1)
WORDS = np.int64(1 << 32)
ODD = np.int32(1)
EVEN = np.int32(-2)
ONE_BITS = np.int32(0x3F800000)
SQRT_HALF_BITS = np.int32(0x3F3504F3)
EXPONENT_MASK = np.int32(-(1 << 23))
W_CENTRE = np.float32(2.75)


def uniform(word: U64, scale: np.float32, low: np.float32) -> F32:
    """low + scale * k for k the low 24 bits of the word."""
    return fma(to_f32(to_u32(word & LOW24)), scale, low)


def fraction(word: U64) -> F32:
    """(word + 1/2) / 2**32 in (0, 1], with relative precision near 0."""
    return fma(to_f32(to_u32(word)), TWO_M32, TWO_M33)


def neg_log(u: F32) -> F32:
    """-ln(u) for u in (0, 1]: u = 2**e (1 + m) with 1 + m in [sqrt(1/2), sqrt(2))."""
    bits = bits_of_f32(u)
    exponent = (bits - SQRT_HALF_BITS) & EXPONENT_MASK
    m = f32_of_bits(bits - exponent) - ONE
    r = fma(L[7], m, L[6])
    r = fma(r, m, L[5])
    r = fma(r, m, L[4])
    r = fma(r, m, L[3])
    r = fma(r, m, L[2])
    r = fma(r, m, L[1])
    r = fma(r, m, L[0])
    return fma(to_f32(exponent), MINUS_LN2, r * m)


def radius(word: U64) -> F32:
    """sqrt(-2 ln u) / 8 for u = (word + 1/2) / 2**32, never 0.

    2 u = 2**-e (2 + m) with m in [-1, 0), so that both terms of -ln u are positive.  The scale
    is a power of two; with it a radius times any float32 is no infinity.
    """
    bits = bits_of_f32(fma(to_f32(to_u32(word)), BELOW_TWO, TWO_M32))
    halvings = ~bits & ONE_BITS
    m = f32_of_bits(bits | ONE_BITS) - TWO
    r = fma(R[7], m, R[6])
    r = fma(r, m, R[5])
    r = fma(r, m, R[4])
    r = fma(r, m, R[3])
    r = fma(r, m, R[2])
    r = fma(r, m, R[1])
    r = fma(r, m, R[0])
    return root(fma(to_f32(halvings), LN2, fma(r, m, EXCESS)))


def root(x: F32) -> F32:
    """The rounded square root of x, its lowest bit set; ``kernels/sampling.py`` says why."""
    return sqrt(f32_of_bits(bits_of_f32(x) | ODD))


def reciprocal(x: F32) -> F32:
    """1 / x, rounded; not all bits of x's significand may be set, for the same reason."""
    return divide(ONE, x)


def direction(word: U64) -> tuple[F32, F32]:
    """8 (cos t, sin t) for t = 2 pi (k + 1/2) / 2**32, k = (word - 1) mod 2**31; neither is 0.

    x in [-1, 1] is what t lacks to a quarter turn, in quarter turns.
    """
    x = to_f32(to_i32(to_u32(QUARTER - (word << ONE_BIT)))) * TWO_M31
    w = fma(-x, x, ONE)
    s = fma(S[4], w, S[3])
    s = fma(s, w, S[2])
    s = fma(s, w, S[1])
    s = fma(s, w, S[0])
    c = fma(C[4], w, C[3])
    c = fma(c, w, C[2])
    c = fma(c, w, C[1])
    c = fma(c, w, C[0])
    return s * x, fma(c, w, LEAST)


def flip(x: F32, word: U64) -> F32:
    """-x where bit 31 of the word is set, else x."""
    return f32_of_bits(bits_of_f32(x) ^ to_i32(to_u32(word & SIGN)))


def normal_pair(
    radius_word: U64, angle_word: U64, std: np.float32, mean: np.float32
) -> tuple[F32, F32]:
    """Two normals by Box and Muller (1958): mean + std sqrt(-2 ln u) (cos t, sin t).

    The highest bit of the angle's word adds half a turn to t.
    """
    scale = flip(radius(radius_word) * std, angle_word)
    cosine, sine = direction(angle_word)
    return fma(scale, cosine, mean), fma(scale, sine, mean)


def signed_fraction(word: U64, scale: np.float32, centre: np.float32) -> F32:
    """centre + scale * (word as int32): the argument of the inverse error function."""
    return fma(to_f32(to_i32(to_u32(word))), scale, centre)


def central_rational(x: F32) -> F32:
    """sqrt(2) erfinv(x), |x| <= erf(sqrt(2)): a quotient of polynomials in 1 - x^2."""
    v = fma(-x, x, ONE)
    p = fma(P[4], v, P[3])
    p = fma(p, v, P[2])
    p = fma(p, v, P[1])
    p = fma(p, v, P[0])
    return x * p * reciprocal(denominator(v))


def denominator(v: F32) -> F32:
    """Q(v); for no v in use are all bits of its significand set."""
    q = fma(Q[4], v, Q[3])
    q = fma(q, v, Q[2])
    q = fma(q, v, Q[1])
    return fma(q, v, Q[0])


def central_log(x: F32) -> F32:
    """sqrt(2) erfinv(x), |x| <= sqrt(1 - exp(-5.5)): x times a polynomial in -ln(1 - x^2).

    The form is M. Giles's ("Approximating the erfinv function", GPU Computing Gems 2, 2010).
    """
    w = neg_log(fma(-x, x, ONE)) - W_CENTRE
    r = fma(W[8], w, W[7])
    r = fma(r, w, W[6])
    r = fma(r, w, W[5])
    r = fma(r, w, W[4])
    r = fma(r, w, W[3])
    r = fma(r, w, W[2])
    r = fma(r, w, W[1])
    r = fma(r, w, W[0])
    return x * r


def tail_distance(log_survival: F32, p: Params) -> F32:
    """How far beyond a bound the normal survival has fallen by exp(-log_survival).

    In units of p's scale: l P(s) / (1 + r), r = sqrt(1 + c l); ``truncated.py`` derives the
    form and fits the coefficients p[3:13] of P for the bound.
    """
    r = root(fma(log_survival, p[0], ONE))
    g = reciprocal(f32_of_bits(bits_of_f32(r + ONE) & EVEN))
    s = fma(g, p[1], p[2])
    y = fma(p[12], s, p[11])
    y = fma(y, s, p[10])
    y = fma(y, s, p[9])
    y = fma(y, s, p[8])
    y = fma(y, s, p[7])
    y = fma(y, s, p[6])
    y = fma(y, s, p[5])
    y = fma(y, s, p[4])
    y = fma(y, s, p[3])
    return log_survival * g * y


def one_tail(word: U64, p: Params) -> F32:
    """Distance from the bound nearer the mean; survival t = p[14] + p[13] u falls from 1.

    t keeps its relative precision far out; 1 - t = p[13] (1 - u) keeps it at the bound.
    """
    t = fma(fraction(word), p[13], p[14])
    v = fraction(word ^ ALL32) * p[13]
    return tail_distance(neg_log(t) + ((t - ONE) + v), p)


def two_tails(word: U64, p: Params) -> F32:
    """A truncated standard normal on both sides of its mean: abs(erf(z / sqrt 2)) = v = 1 - t.

    p[15] 2**16 + p[16] words lie below the mean.  Counted outward from it v keeps its relative
    precision there, counted inward t keeps it far out.
    """
    below = (whole(p[15]) << 16) + whole(p[16])
    last = select(2 * below > WORDS, below, WORDS - below) - 1
    right = to_i64(word) - below
    outward = right ^ (right >> 63)  # -1 - right on the left; a select is no vector code
    t = fma(to_f32(to_u32(last - outward)), p[13], p[14])
    v = fma(to_f32(to_u32(outward)), p[13], p[13] * ONE_HALF)
    distance = tail_distance(neg_log(t) + ((t - ONE) + v), p)
    return select(right < 0, -distance, distance)


def scaled(z: F32, p: Params, at: int) -> F32:
    """p[at] * z + p[at + 1] in one rounding, brought into [p[at + 2], p[at + 3]]."""
    return clamp(fma(z, p[at], p[at + 1]), p[at + 2], p[at + 3])


def uniform4(r0: U64, r1: U64, r2: U64, r3: U64, p: Params) -> Four:
    """p = (scale, low)."""
    return (
        uniform(r0, p[0], p[1]),
        uniform(r1, p[0], p[1]),
        uniform(r2, p[0], p[1]),
        uniform(r3, p[0], p[1]),
    )


def normal4(r0: U64, r1: U64, r2: U64, r3: U64, p: Params) -> Four:
    """p = (std, mean)."""
    return (*normal_pair(r0, r1, p[0], p[1]), *normal_pair(r2, r3, p[0], p[1]))


def clamped_normal4(r0: U64, r1: U64, r2: U64, r3: U64, p: Params) -> Four:
    """p = (std, mean, low, high)."""
    z0, z1 = normal_pair(r0, r1, p[0], p[1])
    z2, z3 = normal_pair(r2, r3, p[0], p[1])
    low, high = p[2], p[3]
    return clamp(z0, low, high), clamp(z1, low, high), clamp(z2, low, high), clamp(z3, low, high)


def rational4(r0: U64, r1: U64, r2: U64, r3: U64, p: Params) -> Four:
    """p = (x scale, x centre, std, mean, low, high)."""
    return (
        scaled(central_rational(signed_fraction(r0, p[0], p[1])), p, 2),
        scaled(central_rational(signed_fraction(r1, p[0], p[1])), p, 2),
        scaled(central_rational(signed_fraction(r2, p[0], p[1])), p, 2),
        scaled(central_rational(signed_fraction(r3, p[0], p[1])), p, 2),
    )


def log4(r0: U64, r1: U64, r2: U64, r3: U64, p: Params) -> Four:
    """p = (x scale, x centre, std, mean, low, high)."""
    return (
        scaled(central_log(signed_fraction(r0, p[0], p[1])), p, 2),
        scaled(central_log(signed_fraction(r1, p[0], p[1])), p, 2),
        scaled(central_log(signed_fraction(r2, p[0], p[1])), p, 2),
        scaled(central_log(signed_fraction(r3, p[0], p[1])), p, 2),
    )


def tail4(r0: U64, r1: U64, r2: U64, r3: U64, p: Params) -> Four:
    """p = (c, s scale, s centre, 10 coefficients, mass, floor, scale, bound, low, high)."""
    return (
        scaled(one_tail(r0, p), p, 15),
        scaled(one_tail(r1, p), p, 15),
        scaled(one_tail(r2, p), p, 15),
        scaled(one_tail(r3, p), p, 15),
    )


def tails4(r0: U64, r1: U64, r2: U64, r3: U64, p: Params) -> Four:
    """p = (c, s scale, s centre, 10 coefficients, step, end, 2 halves, scale, mean, low, high)."""
    return (
        scaled(two_tails(r0, p), p, 17),
        scaled(two_tails(r1, p), p, 17),
        scaled(two_tails(r2, p), p, 17),
        scaled(two_tails(r3, p), p, 17),
    )
