"""From random words to float32 samples: ``tritoninit/sampling.py`` in Triton.

The same functions, constants and order of operations; that file says where they come from.
Every launch passes ``enable_fp_fusion=False``, so a fused multiply-add appears only where
``tl.fma`` is written, and ``sqrt_rn`` and ``div_rn`` are correctly rounded.
"""

import triton
import triton.language as tl

TWO_M32 = tl.constexpr(2.0**-32)
TWO_M33 = tl.constexpr(2.0**-33)
BELOW_ONE = tl.constexpr(1.0 - 2.0**-24)

L0 = tl.constexpr(-0.99999986432666219)
L1 = tl.constexpr(0.50000283668269009)
L2 = tl.constexpr(-0.33336655837834056)
L3 = tl.constexpr(0.24972379477242058)
L4 = tl.constexpr(-0.19862963841165371)
L5 = tl.constexpr(0.17199977782501714)
L6 = tl.constexpr(-0.16456213909764451)
L7 = tl.constexpr(0.10501727808737134)
SQRT_HALF_BITS = tl.constexpr(0x3F3504F3)
EXPONENT_MASK = tl.constexpr(-(1 << 23))
MINUS_LN2 = tl.constexpr(-0.69314718055994531 * 2.0**-23)

S0 = tl.constexpr(2.2214414618872417)
S1 = tl.constexpr(-0.91353028627172499)
S2 = tl.constexpr(0.11268458305822639)
S3 = tl.constexpr(-0.006507727070196027)
C0 = tl.constexpr(1.4142135162527816)
C1 = tl.constexpr(-1.744710551866877)
C2 = tl.constexpr(0.35863741334128726)
C3 = tl.constexpr(-0.028847950840267365)

P0 = tl.constexpr(3.110516889981463)
P1 = tl.constexpr(131.51704935730933)
P2 = tl.constexpr(755.3629661614497)
P3 = tl.constexpr(739.9721829276095)
P4 = tl.constexpr(67.79226770667972)
Q1 = tl.constexpr(57.39533767603328)
Q2 = tl.constexpr(451.4982928217161)
Q3 = tl.constexpr(686.717491993629)
Q4 = tl.constexpr(158.00127458219498)

W_CENTRE = tl.constexpr(2.75)
W0 = tl.constexpr(2.210118506175788)
W1 = tl.constexpr(0.34553624140667502)
W2 = tl.constexpr(-0.0071230942668758577)
W3 = tl.constexpr(-0.0014707722140203138)
W4 = tl.constexpr(0.00029655926138019522)
W5 = tl.constexpr(-1.2424503959596797e-05)
W6 = tl.constexpr(-3.8830172058918427e-06)
W7 = tl.constexpr(4.9989997994384224e-07)
W8 = tl.constexpr(1.8437646391385864e-08)


@triton.jit
def to_i32(word):
    return word.to(tl.int32, bitcast=True)


@triton.jit
def uniform(word, scale, low):
    return tl.fma((word & 0xFFFFFF).to(tl.int32).to(tl.float32), scale, low)


@triton.jit
def fraction(word):
    return tl.fma(word.to(tl.float32), TWO_M32, TWO_M33)


@triton.jit
def neg_log(u):
    bits = u.to(tl.int32, bitcast=True)
    exponent = (bits - SQRT_HALF_BITS) & EXPONENT_MASK
    m = (bits - exponent).to(tl.float32, bitcast=True) - 1.0
    r = tl.fma(m, L7, L6)
    r = tl.fma(r, m, L5)
    r = tl.fma(r, m, L4)
    r = tl.fma(r, m, L3)
    r = tl.fma(r, m, L2)
    r = tl.fma(r, m, L1)
    r = tl.fma(r, m, L0)
    return tl.fma(exponent.to(tl.float32), MINUS_LN2, r * m)


@triton.jit
def flip(x, sign):
    return (x.to(tl.int32, bitcast=True) ^ to_i32(sign)).to(tl.float32, bitcast=True)


@triton.jit
def normal_pair(radius_word, angle_word):
    radius = tl.sqrt_rn(neg_log(tl.minimum(fraction(radius_word), BELOW_ONE)))
    quadrant = angle_word + 0x20000000
    x = tl.fma(to_i32(angle_word << 2).to(tl.float32), TWO_M32, TWO_M33)
    q = x * x
    s = tl.fma(q, S3, S2)
    s = tl.fma(s, q, S1)
    s = tl.fma(s, q, S0)
    s = s * x
    c = tl.fma(q, C3, C2)
    c = tl.fma(c, q, C1)
    c = tl.fma(c, q, C0)
    odd = (quadrant & 0x40000000) != 0
    cosine = tl.where(odd, s, c)
    sine = tl.where(odd, c, s)
    cosine_sign = (quadrant ^ (quadrant << 1)) & 0x80000000
    sine_sign = quadrant & 0x80000000
    return radius * flip(cosine, cosine_sign), radius * flip(sine, sine_sign)


@triton.jit
def signed_fraction(word, scale, centre):
    return tl.fma(to_i32(word).to(tl.float32), scale, centre)


@triton.jit
def central_rational(x):
    v = tl.fma(-x, x, 1.0)
    p = tl.fma(v, P4, P3)
    p = tl.fma(p, v, P2)
    p = tl.fma(p, v, P1)
    p = tl.fma(p, v, P0)
    q = tl.fma(v, Q4, Q3)
    q = tl.fma(q, v, Q2)
    q = tl.fma(q, v, Q1)
    q = tl.fma(q, v, 1.0)
    return tl.div_rn(x * p, q)


@triton.jit
def central_log(x):
    w = neg_log(tl.fma(-x, x, 1.0)) - W_CENTRE
    r = tl.fma(w, W8, W7)
    r = tl.fma(r, w, W6)
    r = tl.fma(r, w, W5)
    r = tl.fma(r, w, W4)
    r = tl.fma(r, w, W3)
    r = tl.fma(r, w, W2)
    r = tl.fma(r, w, W1)
    r = tl.fma(r, w, W0)
    return x * r


@triton.jit
def tail_distance(log_survival, p):
    r = tl.sqrt_rn(tl.fma(log_survival, p[0], 1.0))
    reciprocal = tl.div_rn(tl.full(r.shape, 1.0, tl.float32), r + 1.0)
    s = tl.fma(reciprocal, p[1], p[2])
    y = tl.fma(s, p[12], p[11])
    y = tl.fma(y, s, p[10])
    y = tl.fma(y, s, p[9])
    y = tl.fma(y, s, p[8])
    y = tl.fma(y, s, p[7])
    y = tl.fma(y, s, p[6])
    y = tl.fma(y, s, p[5])
    y = tl.fma(y, s, p[4])
    y = tl.fma(y, s, p[3])
    return log_survival * reciprocal * y


@triton.jit
def one_tail(word, p):
    t = tl.fma(fraction(word), p[13], p[14])
    v = fraction(word ^ 0xFFFFFFFF) * p[13]
    return tail_distance(neg_log(t) + ((t - 1.0) + v), p)


@triton.jit
def two_tails(word, p):
    below = tl.fma(fraction(word), p[13], p[14])
    above = tl.fma(fraction(word ^ 0xFFFFFFFF), p[13], p[15])
    left = below < above
    distance = tail_distance(neg_log(tl.where(left, below, above)), p)
    return tl.where(left, -distance, distance)


@triton.jit
def scaled(z, p, at: tl.constexpr):
    value = tl.fma(z, p[at], p[at + 1])
    return tl.minimum(tl.maximum(value, p[at + 2]), p[at + 3])


@triton.jit
def one_word(word, p, KIND: tl.constexpr):
    """A sample of a distribution that takes one word an element."""
    if KIND == "uniform":
        return uniform(word, p[0], p[1])
    elif KIND == "rational":
        return scaled(central_rational(signed_fraction(word, p[0], p[1])), p, 2)
    elif KIND == "log":
        return scaled(central_log(signed_fraction(word, p[0], p[1])), p, 2)
    elif KIND == "tail":
        return scaled(one_tail(word, p), p, 15)
    else:
        tl.static_assert(KIND == "tails")
        return scaled(two_tails(word, p), p, 16)


@triton.jit
def sample4(r0, r1, r2, r3, p, KIND: tl.constexpr):
    """The four samples of a block."""
    if KIND == "words":
        return r0, r1, r2, r3
    elif KIND == "normal":
        z0, z1 = normal_pair(r0, r1)
        z2, z3 = normal_pair(r2, r3)
        return (
            tl.fma(z0, p[0], p[1]),
            tl.fma(z1, p[0], p[1]),
            tl.fma(z2, p[0], p[1]),
            tl.fma(z3, p[0], p[1]),
        )
    elif KIND == "clamped_normal":
        z0, z1 = normal_pair(r0, r1)
        z2, z3 = normal_pair(r2, r3)
        return scaled(z0, p, 0), scaled(z1, p, 0), scaled(z2, p, 0), scaled(z3, p, 0)
    else:
        return (
            one_word(r0, p, KIND),
            one_word(r1, p, KIND),
            one_word(r2, p, KIND),
            one_word(r3, p, KIND),
        )
