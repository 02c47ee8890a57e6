"""From random words to float32 samples: ``tritoninit/sampling.py`` in Triton.

The same functions, constants and order of operations; that file says where they come from.
Every launch passes ``enable_fp_fusion=False``, so a fused multiply-add appears only where
``tl.fma`` is written.
"""

import triton
import triton.language as tl

TWO_M32 = tl.constexpr(2.0**-32)
TWO_M33 = tl.constexpr(2.0**-33)
TWO_M31 = tl.constexpr(2.0**-31)
BELOW_TWO = tl.constexpr(2.0**-31 - 2.0**-55)
EXCESS = tl.constexpr(-0.75 * 2.0**-29)
LEAST = tl.constexpr(2.0**-24)
ONE_BITS = tl.constexpr(0x3F800000)

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

R0 = tl.constexpr(-0.015624997694416152)
R1 = tl.constexpr(0.0039065355006225709)
R2 = tl.constexpr(-0.0012963381614069524)
R3 = tl.constexpr(0.00053174061402026795)
R4 = tl.constexpr(-3.7123419251677465e-05)
R5 = tl.constexpr(0.00038351630689408554)
R6 = tl.constexpr(0.00026405144315289525)
R7 = tl.constexpr(0.00014464594282159216)
LN2 = tl.constexpr(0.69314718055994531 * 2.0**-28)

S0 = tl.constexpr(8.0000000425109038)
S1 = tl.constexpr(3.9999976961769477)
S2 = tl.constexpr(0.5326183190876445)
S3 = tl.constexpr(0.032542608746670798)
S4 = tl.constexpr(0.0012118810610347068)
C0 = tl.constexpr(6.2831853133484118)
C1 = tl.constexpr(1.570796005399323)
C2 = tl.constexpr(0.13943670556988821)
C3 = tl.constexpr(0.0063932639468715702)
C4 = tl.constexpr(0.00018870388111308334)

P0 = tl.constexpr(3.110516889981463)
P1 = tl.constexpr(131.51704935730933)
P2 = tl.constexpr(755.3629661614497)
P3 = tl.constexpr(739.9721829276095)
P4 = tl.constexpr(67.79226770667972)
Q1 = tl.constexpr(57.39533233642578)
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
def i32_of(x):
    return x.to(tl.int32, bitcast=True)


@triton.jit
def f32_of(bits):
    return bits.to(tl.float32, bitcast=True)


@triton.jit
def minus(x):
    return x * -1.0  # an operand's sign, where Triton's -x is the subtraction 0 - x


@triton.jit
def uniform(word, scale, low):
    return tl.fma((word & 0xFFFFFF).to(tl.int32).to(tl.float32), scale, low)


@triton.jit
def fraction(word):
    return tl.fma(word.to(tl.float32), TWO_M32, TWO_M33)


@triton.jit
def neg_log(u):
    bits = i32_of(u)
    exponent = (bits - SQRT_HALF_BITS) & EXPONENT_MASK
    m = f32_of(bits - exponent) - 1.0
    r = tl.fma(m, L7, L6)
    r = tl.fma(r, m, L5)
    r = tl.fma(r, m, L4)
    r = tl.fma(r, m, L3)
    r = tl.fma(r, m, L2)
    r = tl.fma(r, m, L1)
    r = tl.fma(r, m, L0)
    return tl.fma(exponent.to(tl.float32), MINUS_LN2, r * m)


@triton.jit
def radius(word):
    bits = i32_of(tl.fma(word.to(tl.float32), BELOW_TWO, TWO_M32))
    halvings = ~bits & ONE_BITS
    m = f32_of(bits | ONE_BITS) - 2.0
    r = tl.fma(m, R7, R6)
    r = tl.fma(r, m, R5)
    r = tl.fma(r, m, R4)
    r = tl.fma(r, m, R3)
    r = tl.fma(r, m, R2)
    r = tl.fma(r, m, R1)
    r = tl.fma(r, m, R0)
    return root(tl.fma(halvings.to(tl.float32), LN2, tl.fma(r, m, EXCESS)))


@triton.jit
def root(x):
    """Correctly rounded without ``sqrt_rn``, whose range check and branch cost as much again.

    Whatever float32 rsqrt gives within 2**-22.9 of 1 / sqrt(x), which is PTX's promise, or
    within one unit in the last place, which is AMD's, the result is the rounded root if the
    lowest bit of x is set, and likewise in ``reciprocal`` unless all bits of the significand
    are.  ``tests/accuracy/test_root.py`` tries all x and all that rsqrt may give.
    """
    x = f32_of(i32_of(x) | 1)
    y = tl.rsqrt(x)
    s = x * y
    return tl.fma(tl.fma(minus(s), s, x), y * 0.5, s)


@triton.jit
def reciprocal(x):
    y = tl.rsqrt(x)
    y = y * y
    y = tl.fma(tl.fma(minus(x), y, 1.0), y, y)
    return tl.fma(tl.fma(minus(x), y, 1.0), y, y)


@triton.jit
def direction(word):
    x = i32_of(0x80000001 - (word << 1)).to(tl.float32) * TWO_M31
    w = tl.fma(minus(x), x, 1.0)
    s = tl.fma(w, S4, S3)
    s = tl.fma(s, w, S2)
    s = tl.fma(s, w, S1)
    s = tl.fma(s, w, S0)
    c = tl.fma(w, C4, C3)
    c = tl.fma(c, w, C2)
    c = tl.fma(c, w, C1)
    c = tl.fma(c, w, C0)
    return s * x, tl.fma(c, w, LEAST)


@triton.jit
def flip(x, word):
    return f32_of(i32_of(x) ^ i32_of(word & 0x80000000))


@triton.jit
def normal_pair(radius_word, angle_word, std, mean):
    scale = flip(radius(radius_word) * std, angle_word)
    cosine, sine = direction(angle_word)
    return tl.fma(scale, cosine, mean), tl.fma(scale, sine, mean)


@triton.jit
def signed_fraction(word, scale, centre):
    return tl.fma(i32_of(word).to(tl.float32), scale, centre)


@triton.jit
def central_rational(x):
    v = tl.fma(minus(x), x, 1.0)
    p = tl.fma(v, P4, P3)
    p = tl.fma(p, v, P2)
    p = tl.fma(p, v, P1)
    p = tl.fma(p, v, P0)
    return x * p * reciprocal(denominator(v))


@triton.jit
def denominator(v):
    q = tl.fma(v, Q4, Q3)
    q = tl.fma(q, v, Q2)
    q = tl.fma(q, v, Q1)
    return tl.fma(q, v, 1.0)


@triton.jit
def central_log(x):
    w = neg_log(tl.fma(minus(x), x, 1.0)) - W_CENTRE
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
    r = root(tl.fma(log_survival, p[0], 1.0))
    g = reciprocal(f32_of(i32_of(r + 1.0) & -2))
    s = tl.fma(g, p[1], p[2])
    y = tl.fma(s, p[12], p[11])
    y = tl.fma(y, s, p[10])
    y = tl.fma(y, s, p[9])
    y = tl.fma(y, s, p[8])
    y = tl.fma(y, s, p[7])
    y = tl.fma(y, s, p[6])
    y = tl.fma(y, s, p[5])
    y = tl.fma(y, s, p[4])
    y = tl.fma(y, s, p[3])
    return log_survival * g * y


@triton.jit
def one_tail(word, p):
    t = tl.fma(fraction(word), p[13], p[14])
    v = fraction(word ^ 0xFFFFFFFF) * p[13]
    return tail_distance(neg_log(t) + ((t - 1.0) + v), p)


@triton.jit
def two_tails(word, p):
    below = (tl.cast(p[15], tl.uint32) << 16) | tl.cast(p[16], tl.uint32)
    last = tl.maximum(below, 0 - below) - 1
    left = word < below
    outward = tl.where(left, (word - below) ^ 0xFFFFFFFF, word - below)
    t = tl.fma((last - outward).to(tl.float32), p[13], p[14])
    v = tl.fma(outward.to(tl.float32), p[13], p[13] * 0.5)
    distance = tail_distance(neg_log(t) + ((t - 1.0) + v), p)
    return tl.where(left, minus(distance), distance)


@triton.jit
def scaled(z, p, at: tl.constexpr):
    return clamp(tl.fma(z, p[at], p[at + 1]), p, at + 2)


@triton.jit
def clamp(x, p, at: tl.constexpr):
    return tl.minimum(tl.maximum(x, p[at]), p[at + 1])


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
        return scaled(two_tails(word, p), p, 17)


@triton.jit
def sample4(r0, r1, r2, r3, p, KIND: tl.constexpr):
    """The four samples of a block."""
    if KIND == "words":
        return r0, r1, r2, r3
    elif KIND == "normal":
        z0, z1 = normal_pair(r0, r1, p[0], p[1])
        z2, z3 = normal_pair(r2, r3, p[0], p[1])
        return z0, z1, z2, z3
    elif KIND == "clamped_normal":
        z0, z1 = normal_pair(r0, r1, p[0], p[1])
        z2, z3 = normal_pair(r2, r3, p[0], p[1])
        return clamp(z0, p, 2), clamp(z1, p, 2), clamp(z2, p, 2), clamp(z3, p, 2)
    else:
        return (
            one_word(r0, p, KIND),
            one_word(r1, p, KIND),
            one_word(r2, p, KIND),
            one_word(r3, p, KIND),
        )
