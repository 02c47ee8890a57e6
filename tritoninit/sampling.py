"""From random words to float32 samples: the CPU source, mirrored by ``kernels/sampling.py``.

The functions are written once and run twice: on numpy arrays with the operations of
``arith.py``, and compiled by numba, whose backend replaces those operations by machine
instructions.  The constants and the order of operations are those of the Triton kernels,
function for function, so that all three give the same bits.  Only integer operations, IEEE
add, subtract, multiply, divide, square root, and explicit fused multiply-add appear.

Where the constants come from, and the errors that remain, is derived in
``tests/accuracy/derive_constants.py``.
"""

from __future__ import annotations

import numpy as np

from tritoninit.arith import (
    F32,
    U32,
    U64,
    bits_of_f32,
    clamp,
    divide,
    f32_of_bits,
    fma,
    minimum,
    select,
    sqrt,
    to_f32,
    to_i32,
    to_u32,
)

Four = tuple[F32, F32, F32, F32]
Params = tuple[np.float32, ...]

ONE = np.float32(1.0)
TWO_M32 = np.float32(2.0**-32)
TWO_M33 = np.float32(2.0**-33)
BELOW_ONE = np.float32(1.0 - 2.0**-24)
LOW24 = np.uint64(0xFFFFFF)
ALL32 = np.uint64(0xFFFFFFFF)
TWO = np.uint64(2)
HALF_QUADRANT = np.uint64(1 << 29)
SIGN = np.uint64(1 << 31)
ODD_QUADRANT = np.uint64(1 << 30)

# -ln(1 + m) / m on [sqrt(1/2) - 1, sqrt(2) - 1]; minimax, relative error of the log 2^-22.8.
L0 = np.float32(-0.99999986432666219)
L1 = np.float32(0.50000283668269009)
L2 = np.float32(-0.33336655837834056)
L3 = np.float32(0.24972379477242058)
L4 = np.float32(-0.19862963841165371)
L5 = np.float32(0.17199977782501714)
L6 = np.float32(-0.16456213909764451)
L7 = np.float32(0.10501727808737134)
SQRT_HALF_BITS = np.int32(0x3F3504F3)
EXPONENT_MASK = np.int32(-(1 << 23))
MINUS_LN2 = np.float32(-0.69314718055994531 * 2.0**-23)

# sqrt(2) sin(pi/2 x) / x and sqrt(2) cos(pi/2 x) in x^2, |x| <= 1/2; relative 2^-28.2, 2^-24.9.
S0 = np.float32(2.2214414618872417)
S1 = np.float32(-0.91353028627172499)
S2 = np.float32(0.11268458305822639)
S3 = np.float32(-0.006507727070196027)
C0 = np.float32(1.4142135162527816)
C1 = np.float32(-1.744710551866877)
C2 = np.float32(0.35863741334128726)
C3 = np.float32(-0.028847950840267365)

# sqrt(2) erfinv(x) / x as P(v) / Q(v), v = 1 - x^2, for |z| <= 2; relative error 2^-23.8.
P0 = np.float32(3.110516889981463)
P1 = np.float32(131.51704935730933)
P2 = np.float32(755.3629661614497)
P3 = np.float32(739.9721829276095)
P4 = np.float32(67.79226770667972)
Q1 = np.float32(57.39533767603328)
Q2 = np.float32(451.4982928217161)
Q3 = np.float32(686.717491993629)
Q4 = np.float32(158.00127458219498)

# sqrt(2) erfinv(x) / x in w - 2.75, w = -ln(1 - x^2) <= 5.5, so |z| <= 3.08; relative 2^-22.4.
W_CENTRE = np.float32(2.75)
W0 = np.float32(2.210118506175788)
W1 = np.float32(0.34553624140667502)
W2 = np.float32(-0.0071230942668758577)
W3 = np.float32(-0.0014707722140203138)
W4 = np.float32(0.00029655926138019522)
W5 = np.float32(-1.2424503959596797e-05)
W6 = np.float32(-3.8830172058918427e-06)
W7 = np.float32(4.9989997994384224e-07)
W8 = np.float32(1.8437646391385864e-08)


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
    r = fma(L7, m, L6)
    r = fma(r, m, L5)
    r = fma(r, m, L4)
    r = fma(r, m, L3)
    r = fma(r, m, L2)
    r = fma(r, m, L1)
    r = fma(r, m, L0)
    return fma(to_f32(exponent), MINUS_LN2, r * m)


def normal_pair(radius_word: U64, angle_word: U64) -> tuple[F32, F32]:
    """Two standard normals by Box and Muller (1958): sqrt(-2 ln u) (cos t, sin t).

    t = 2 pi (angle_word + 1/2) / 2**32 is reduced to a quadrant and x in [-1/2, 1/2) quarter
    turns with integer operations.  sqrt(2) sits in the coefficients of sine and cosine.  The
    radius is never 0, so no standard normal is.
    """
    radius = sqrt(neg_log(minimum(fraction(radius_word), BELOW_ONE)))
    quadrant = angle_word + HALF_QUADRANT
    x = fma(to_f32(to_i32(to_u32(angle_word << TWO))), TWO_M32, TWO_M33)
    q = x * x
    s = fma(S3, q, S2)
    s = fma(s, q, S1)
    s = fma(s, q, S0)
    s = s * x
    c = fma(C3, q, C2)
    c = fma(c, q, C1)
    c = fma(c, q, C0)
    odd = (quadrant & ODD_QUADRANT) != 0
    cosine = select(odd, s, c)
    sine = select(odd, c, s)
    cosine_sign = to_u32((quadrant ^ (quadrant << np.uint64(1))) & SIGN)
    sine_sign = to_u32(quadrant & SIGN)
    return radius * flip(cosine, cosine_sign), radius * flip(sine, sine_sign)


def flip(x: F32, sign: U32) -> F32:
    """x with its sign bit toggled where ``sign`` has bit 31 set."""
    return f32_of_bits(bits_of_f32(x) ^ to_i32(sign))


def signed_fraction(word: U64, scale: np.float32, centre: np.float32) -> F32:
    """centre + scale * (word as int32): the argument of the inverse error function."""
    return fma(to_f32(to_i32(to_u32(word))), scale, centre)


def central_rational(x: F32) -> F32:
    """sqrt(2) erfinv(x), |x| <= erf(sqrt(2)): a quotient of polynomials in 1 - x^2."""
    v = fma(-x, x, ONE)
    p = fma(P4, v, P3)
    p = fma(p, v, P2)
    p = fma(p, v, P1)
    p = fma(p, v, P0)
    q = fma(Q4, v, Q3)
    q = fma(q, v, Q2)
    q = fma(q, v, Q1)
    q = fma(q, v, ONE)
    return divide(x * p, q)


def central_log(x: F32) -> F32:
    """sqrt(2) erfinv(x), |x| <= sqrt(1 - exp(-5.5)): x times a polynomial in -ln(1 - x^2).

    The form is M. Giles's ("Approximating the erfinv function", GPU Computing Gems 2, 2010).
    """
    w = neg_log(fma(-x, x, ONE)) - W_CENTRE
    r = fma(W8, w, W7)
    r = fma(r, w, W6)
    r = fma(r, w, W5)
    r = fma(r, w, W4)
    r = fma(r, w, W3)
    r = fma(r, w, W2)
    r = fma(r, w, W1)
    r = fma(r, w, W0)
    return x * r


def tail_distance(log_survival: F32, p: Params) -> F32:
    """How far beyond a bound the normal survival has fallen by exp(-log_survival).

    In units of p's scale: l P(s) / (1 + r), r = sqrt(1 + c l); ``truncated.py`` derives the
    form and fits the coefficients p[3:13] of P for the bound.
    """
    r = sqrt(fma(log_survival, p[0], ONE))
    reciprocal = divide(ONE, r + ONE)
    s = fma(reciprocal, p[1], p[2])
    y = fma(p[12], s, p[11])
    y = fma(y, s, p[10])
    y = fma(y, s, p[9])
    y = fma(y, s, p[8])
    y = fma(y, s, p[7])
    y = fma(y, s, p[6])
    y = fma(y, s, p[5])
    y = fma(y, s, p[4])
    y = fma(y, s, p[3])
    return log_survival * reciprocal * y


def one_tail(word: U64, p: Params) -> F32:
    """Distance from the bound nearer the mean; survival t = p[14] + p[13] u falls from 1.

    t keeps its relative precision far out; 1 - t = p[13] (1 - u) keeps it at the bound.
    """
    t = fma(fraction(word), p[13], p[14])
    v = fraction(word ^ ALL32) * p[13]
    return tail_distance(neg_log(t) + ((t - ONE) + v), p)


def two_tails(word: U64, p: Params) -> F32:
    """A truncated standard normal on both sides of its mean: twice the smaller tail decides."""
    below = fma(fraction(word), p[13], p[14])
    above = fma(fraction(word ^ ALL32), p[13], p[15])
    left = below < above
    distance = tail_distance(neg_log(select(left, below, above)), p)
    return select(left, -distance, distance)


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
    z0, z1 = normal_pair(r0, r1)
    z2, z3 = normal_pair(r2, r3)
    return fma(z0, p[0], p[1]), fma(z1, p[0], p[1]), fma(z2, p[0], p[1]), fma(z3, p[0], p[1])


def clamped_normal4(r0: U64, r1: U64, r2: U64, r3: U64, p: Params) -> Four:
    """p = (std, mean, low, high)."""
    z0, z1 = normal_pair(r0, r1)
    z2, z3 = normal_pair(r2, r3)
    return scaled(z0, p, 0), scaled(z1, p, 0), scaled(z2, p, 0), scaled(z3, p, 0)


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
    """p = (c, s scale, s centre, 10 coefficients, mass, below, above, scale, mean, low, high)."""
    return (
        scaled(two_tails(r0, p), p, 16),
        scaled(two_tails(r1, p), p, 16),
        scaled(two_tails(r2, p), p, 16),
        scaled(two_tails(r3, p), p, 16),
    )
