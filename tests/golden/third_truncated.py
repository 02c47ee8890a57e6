"""Truncated normals again, from ``tritoninit/STREAM.md`` alone (see ``third.py``)."""

import math
from fractions import Fraction

from mpmath import mp

from tests.golden.third import (
    FORMATS,
    M32,
    C,
    bits,
    constants,
    f32,
    fma,
    fraction,
    horner,
    neg_log,
    normal,
    number,
    root,
    rounded,
    signed,
    times,
    word,
)


def upper(z):
    return mp.erfc(z / mp.sqrt(2)) / 2 if z < math.inf else mp.mpf(0)


def fitted(alpha, reach, degree):
    """kappa, and the constants c, A, B and the polynomial of D, highest power first."""
    kappa = mp.npdf(alpha) / upper(alpha)
    c = 2 / kappa**2
    first = mp.sqrt(1 + c * reach)
    span = max((first - 1) / (first + 1), mp.mpf(1) / 8)
    count = degree + 1
    nodes = [mp.mpf(f"{math.cos(math.pi * (j + 0.5) / count):.6f}") for j in range(count)]
    values = []
    for node in nodes:
        rt = (1 + span * (node + 1) / 2) / (1 - span * (node + 1) / 2)
        level = (rt**2 - 1) / c
        d = 2 * level / (kappa + mp.sqrt(kappa**2 + 2 * level))
        for _ in range(12):  # Newton's method
            rest = upper(alpha + d)
            d += (level - mp.log(upper(alpha) / rest)) * rest / mp.npdf(alpha + d)
        values.append(kappa * d * (1 + rt) / (2 * level))
    powers = mp.matrix([[node**n for n in range(degree + 1)] for node in nodes])
    solved = mp.lu_solve(powers, mp.matrix(values))
    return kappa, [c, -4 / span, 2 / span - 1, *(solved[n] for n in range(degree, -1, -1))]


def distance(level, constants):
    c, a, b, *y = constants
    h = f32(Fraction(root(fma(level, c, 1))) + 1)
    g = f32(1 / Fraction(number(bits(h) & ~1)))
    return times(times(level, g), horner(fma(g, a, b), *y))


def single(x):
    return f32(float(x))


def centred(alpha, beta, form):
    low, high = (mp.erf(bound / mp.sqrt(2)) for bound in (alpha, beta))
    k = single((high - low) / 2 * (1 - mp.mpf(2) ** -24) / 2**31)
    m = single((low + high) / 2 + mp.mpf(k) / 2)

    def sample(r):
        x = fma(f32(signed(r)), k, m)
        v = fma(-x, x, 1)
        if form == "rational":
            p, q = horner(v, *constants("P", 4)), horner(v, *constants("Q", 4, 1), 1)
            return times(times(x, p), f32(1 / Fraction(q)))
        w = f32(Fraction(neg_log(v)) - Fraction(C["W_CENTRE"]))
        return times(x, horner(w, *constants("W", 8)))

    return sample


def one_tail(alpha, beta):
    level = mp.log(upper(alpha) / upper(beta)) if beta < math.inf else math.inf
    kappa, fit = fitted(alpha, min(level, 33 * mp.log(2)), 9)
    floor = mp.exp(-level) if level < math.inf else mp.mpf(0)
    mass, floor, fit = single(1 - floor), single(floor), [single(x) for x in fit]

    def sample(r):
        t, v = fma(fraction(r), mass, floor), times(fraction(r ^ M32), mass)
        inner = f32(Fraction(f32(Fraction(t) - 1)) + Fraction(v))
        return distance(f32(Fraction(neg_log(t)) + Fraction(inner)), fit)

    return 2 / kappa, sample


def two_tails(alpha, beta):
    kappa, fit = fitted(mp.mpf(0), 34 * mp.log(2), 9)
    left, right = (mp.erf(bound / mp.sqrt(2)) for bound in (-alpha, beta))
    k = (left + right) / 2**32
    n = min(int(mp.nint(left / k)), M32)
    last = max(n - 1, M32 - n)
    k, end, *fit = map(single, (k, max(1 - (last + mp.mpf("0.5")) * k, k / 2), *fit))

    def sample(r):
        j = n - 1 - r if r < n else r - n
        t, v = fma(f32(last - j), k, end), fma(f32(j), k, k / 2)
        inner = Fraction(f32(Fraction(f32(Fraction(t) - 1)) + Fraction(v)))
        z = distance(f32(Fraction(neg_log(t)) + inner), fit)
        return -z if r < n else z

    return 2 / kappa, sample


def inward(bound, sign, digits, least):
    """The value of the dtype at the bound, or next to it where the sign points."""
    x = rounded(bound, digits, least)
    while sign * (x - bound) < 0:  # by less than one step
        x = rounded(x + sign * 2.0 ** max(math.frexp(x)[1] - digits, least), digits, least)
    return x


def trunc_normal(mean, std, a, b, dtype):
    """The sample of (key, element), of an interval that holds several values of the dtype."""
    exact = [bound if math.isinf(bound) else Fraction(bound) - Fraction(mean) for bound in (a, b)]
    alpha, beta = (mp.convert(x if isinstance(x, float) else x / Fraction(std)) for x in exact)
    scale, origin, sample = mp.mpf(std), mean, None
    if alpha >= 0:
        unit, sample = one_tail(alpha, beta)
        scale, origin = unit * std, a
    elif beta <= 0:
        unit, sample = one_tail(-beta, -alpha)
        scale, origin = -unit * std, b
    elif min(-alpha, beta) < 7:
        reach = max(-alpha, beta)
        if reach <= mp.mpf("3.08"):
            sample = centred(alpha, beta, "rational" if reach <= 2 else "log")
        else:
            unit, sample = two_tails(alpha, beta)
            scale = unit * std
    low, high = (inward(bound, sign, *FORMATS[dtype]) for bound, sign in ((a, 1), (b, -1)))

    def element(key, i):
        value = normal(key, i, mean, std)
        if sample is not None:
            value = fma(sample(word(key, i)), single(scale), f32(origin))
        return min(max(rounded(value, *FORMATS[dtype]), low), high)

    return element
