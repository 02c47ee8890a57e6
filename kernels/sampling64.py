"""From random words to float64 samples: ``tritoninit/sampling64.py`` in Triton.

The same functions, constants and order of operations; that file says where they come from.
Every launch passes ``enable_fp_fusion=False``, so that no product and sum are contracted; ``/``
and ``tl.sqrt`` of float64 are correctly rounded.

Triton makes a float argument float32: a launch passes each constant as two integers, its low and
its high half as 2**33 + 2 * half + 1.
"""

import triton
import triton.language as tl

TWO_M52 = tl.constexpr(2.0**-52)
LOW53 = tl.constexpr((1 << 53) - 1)
ALL64 = tl.constexpr((1 << 64) - 1)
HALF_QUADRANT = tl.constexpr(1 << 61)
ODD_QUADRANT = tl.constexpr(1 << 62)
SIGN = tl.constexpr(1 << 63)

SQRT_HALF_BITS = tl.constexpr(0x3FE6A09E667F3BCD)
EXPONENT_MASK = tl.constexpr(-(1 << 52))
LN2 = tl.constexpr(0.69314718055994531)
HALF_PI = tl.constexpr(1.5707963267948966)
ATANH = tl.constexpr(tuple(2.0 / (2 * n + 1) for n in range(11)))
SINE = tl.constexpr(
    (
        1.0,
        -1.0 / 6,
        1.0 / 120,
        -1.0 / 5040,
        1.0 / 362880,
        -1.0 / 39916800,
        1.0 / 6227020800,
        -1.0 / 1307674368000,
        1.0 / 355687428096000,
    )
)
COSINE = tl.constexpr(
    (
        1.0,
        -1.0 / 2,
        1.0 / 24,
        -1.0 / 720,
        1.0 / 40320,
        -1.0 / 3628800,
        1.0 / 479001600,
        -1.0 / 87178291200,
        1.0 / 20922789888000,
        -1.0 / 6402373705728000,
    )
)
COEFFICIENTS = tl.constexpr(32)  # of the tail form's polynomial, from constant 3 on


@triton.jit
def constant(p, at: tl.constexpr):
    """The float64 number ``at``."""
    low = (p[2 * at] >> 1) & 0xFFFFFFFF
    high = (p[2 * at + 1] >> 1) << 32
    return (low | high).to(tl.float64, bitcast=True)


@triton.jit
def word_of(high, low):
    return (high.to(tl.uint64) << 32) | low


@triton.jit
def uniform(word, p):
    return (word & LOW53).to(tl.float64) * constant(p, 0) + constant(p, 1)


@triton.jit
def fraction(word):
    return ((word >> 12).to(tl.float64) + 0.5) * TWO_M52


@triton.jit
def neg_log(u):
    bits = u.to(tl.int64, bitcast=True)
    exponent = (bits - SQRT_HALF_BITS) & EXPONENT_MASK
    m = (bits - exponent).to(tl.float64, bitcast=True) - 1.0
    f = m / (m + 2.0)
    q = f * f
    series = q * ATANH[10] + ATANH[9]
    for n in tl.static_range(8, -1, -1):
        series = series * q + ATANH[n]
    return -(exponent.to(tl.float64) * TWO_M52 * LN2 + f * series)


@triton.jit
def flip(x, sign):
    return (x.to(tl.uint64, bitcast=True) ^ sign).to(tl.float64, bitcast=True)


@triton.jit
def normal_pair(radius_word, angle_word):
    radius = tl.sqrt(2.0 * neg_log(fraction(radius_word)))
    quadrant = angle_word + HALF_QUADRANT
    turned = (angle_word << 2).to(tl.int64, bitcast=True) >> 12
    x = (turned.to(tl.float64) + 0.5) * TWO_M52 * HALF_PI
    q = x * x
    s = q * SINE[8] + SINE[7]
    for n in tl.static_range(6, -1, -1):
        s = s * q + SINE[n]
    s = s * x
    c = q * COSINE[9] + COSINE[8]
    for n in tl.static_range(7, -1, -1):
        c = c * q + COSINE[n]
    odd = (quadrant & ODD_QUADRANT) != 0
    cosine = flip(tl.where(odd, s, c), (quadrant ^ (quadrant << 1)) & SIGN)
    sine = flip(tl.where(odd, c, s), quadrant & SIGN)
    return radius * cosine, radius * sine


@triton.jit
def tail_distance(log_survival, p):
    r = tl.sqrt(log_survival * constant(p, 0) + 1.0)
    reciprocal = 1.0 / (r + 1.0)
    s = reciprocal * constant(p, 1) + constant(p, 2)
    y = s * constant(p, 2 + COEFFICIENTS) + constant(p, 1 + COEFFICIENTS)
    for n in tl.static_range(COEFFICIENTS, 2, -1):
        y = y * s + constant(p, n)
    return log_survival * reciprocal * y


@triton.jit
def one_tail(word, p):
    t = fraction(word) * constant(p, 35) + constant(p, 36)
    v = fraction(word ^ ALL64) * constant(p, 35)
    return tail_distance(neg_log(t) + ((t - 1.0) + v), p)


@triton.jit
def two_tails(word, p):
    share = fraction(word) * constant(p, 35)
    x = share + constant(p, 38)
    left = x < 0.0
    above = fraction(word ^ ALL64) * constant(p, 35) + constant(p, 37)
    t = tl.where(left, share + constant(p, 36), above)
    distance = tail_distance(neg_log(t) + ((t - 1.0) + tl.where(left, -x, x)), p)
    return tl.where(left, -distance, distance)


@triton.jit
def scaled(z, p, at: tl.constexpr):
    value = z * constant(p, at) + constant(p, at + 1)
    return tl.minimum(tl.maximum(value, constant(p, at + 2)), constant(p, at + 3))


@triton.jit
def one_word(word, p, KIND: tl.constexpr):
    """A sample of a distribution that takes one 64-bit word an element."""
    if KIND == "uniform":
        return uniform(word, p)
    elif KIND == "tail":
        return scaled(one_tail(word, p), p, 37)
    else:
        tl.static_assert(KIND == "tails")
        return scaled(two_tails(word, p), p, 39)


@triton.jit
def sample2(r0, r1, r2, r3, p, KIND: tl.constexpr):
    """The two samples of a block."""
    first = word_of(r0, r1)
    second = word_of(r2, r3)
    if KIND == "normal":
        x, y = normal_pair(first, second)
        return x * constant(p, 0) + constant(p, 1), y * constant(p, 0) + constant(p, 1)
    elif KIND == "clamped_normal":
        x, y = normal_pair(first, second)
        return scaled(x, p, 0), scaled(y, p, 0)
    else:
        return one_word(first, p, KIND), one_word(second, p, KIND)
