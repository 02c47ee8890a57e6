"""float64 samples again, from ``tritoninit/STREAM.md`` alone.

See ``third.py``.  A float of Python is an f64, and every operation on it rounds once.
"""

import math
import struct
from fractions import Fraction

from mpmath import mp

from tests.golden.third import M64, block
from tests.golden.third_truncated import fitted, upper

T = [float(Fraction(2, 2 * n + 1)) for n in range(11)]
SINE = [float(Fraction((-1) ** (n // 2), math.factorial(n))) for n in range(1, 18, 2)]
COSINE = [float(Fraction((-1) ** (n // 2), math.factorial(n))) for n in range(0, 19, 2)]


def bits(x):
    return int.from_bytes(struct.pack(">d", x), "big")


def number(i):
    return struct.unpack(">d", (i & M64).to_bytes(8, "big"))[0]


def signed(word):
    return (word + 2**63) % 2**64 - 2**63


def horner(x, coefficients):
    """Of coefficients with the lowest power first; a product and a sum round each."""
    total = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total


def words(key, b):
    """The two 64-bit words of a block."""
    r = block(key, b)
    return (r[0] << 32) + r[1], (r[2] << 32) + r[3]


def fraction(w):
    return ((w >> 12) + 0.5) * 2.0**-52


def neg_log(u):
    i = bits(u)
    e = i - 0x3FE6A09E667F3BCD & 0xFFF0000000000000
    m = number(i - e) - 1
    f = m / (m + 2)
    return -((signed(e) * 2.0**-52) * math.log(2) + f * horner(f * f, T))


def uniform(key, i, a, b):
    scale = (b - a) * 2.0**-53
    while (2**53 - 1) * scale + a >= b:
        scale = number(bits(scale) - 1)
    return (words(key, i // 2)[i % 2] % 2**53) * scale + a


def normal(key, i, mean, std):
    first, w = words(key, i // 2)
    rho = math.sqrt(2 * neg_log(fraction(first)))
    x = ((signed(w << 2 & M64) >> 12) + 0.5) * 2.0**-52 * (math.pi / 2)
    s, c = x * horner(x * x, SINE), horner(x * x, COSINE)
    t = w + 2**61 & M64
    if t & 2**62:
        s, c = c, s
    if (t ^ t << 1) >> 63 & 1:
        c = -c
    if t >> 63:
        s = -s
    return std * (rho * (s if i % 2 else c)) + mean


def distance(level, constants):
    c, a, b, *y = constants
    g = 1 / (math.sqrt(level * c + 1) + 1)
    return (level * g) * horner(g * a + b, y[::-1])


def one_tail(alpha, beta):
    level = mp.log(upper(alpha) / upper(beta)) if beta < math.inf else math.inf
    kappa, fit = fitted(alpha, min(level, 65 * mp.log(2)), 31)
    floor = mp.exp(-level) if level < math.inf else mp.mpf(0)
    mass, floor, *fit = map(float, (1 - floor, floor, *fit))

    def sample(w):
        t, v = fraction(w) * mass + floor, fraction(w ^ M64) * mass
        return distance(neg_log(t) + ((t - 1) + v), fit)

    return 2 / kappa, sample


def two_tails(alpha, beta):
    kappa, fit = fitted(mp.mpf(0), 66 * mp.log(2), 31)
    below, above, start = 2 * upper(-alpha), 2 * upper(beta), mp.erf(alpha / mp.sqrt(2))
    mass, below, above, start, *fit = map(float, (2 - below - above, below, above, start, *fit))

    def sample(w):
        x = fraction(w) * mass + start
        t = fraction(w) * mass + below if x < 0 else fraction(w ^ M64) * mass + above
        d = distance(neg_log(t) + ((t - 1) + abs(x)), fit)
        return -d if x < 0 else d

    return 2 / kappa, sample


def trunc_normal(mean, std, a, b):
    """The sample of (key, element), of an interval that holds several numbers."""
    exact = [bound if math.isinf(bound) else Fraction(bound) - Fraction(mean) for bound in (a, b)]
    alpha, beta = (mp.convert(x if isinstance(x, float) else x / Fraction(std)) for x in exact)
    sample, origin = None, mean
    if alpha >= 0:
        unit, sample = one_tail(alpha, beta)
        origin = a
    elif beta <= 0:
        unit, sample = one_tail(-beta, -alpha)
        unit, origin = -unit, b
    elif min(-alpha, beta) < 7:
        unit, sample = two_tails(alpha, beta)

    def element(key, i):
        if sample is None:
            value = normal(key, i, mean, std)
        else:
            value = sample(words(key, i // 2)[i % 2]) * float(unit * std) + origin
        return min(max(value, a), b)

    return element
