"""The stream again, from ``tritoninit/STREAM.md`` alone: plain Python, numbers as fractions.

It shares no line, constant or table with the package: the constants are read from the text.
"""

import hashlib
import math
import re
import struct
from fractions import Fraction
from pathlib import Path

from mpmath import mp

mp.dps = 60
M32, M64 = 2**32 - 1, 2**64 - 1
TEXT = (Path(__file__).parents[2] / "tritoninit" / "STREAM.md").read_text()
C = {name: struct.unpack(">f", bytes.fromhex(bits))[0]
     for name, bits in re.findall(r"`([A-Z_0-9]+)=([0-9a-f]{8})`", TEXT)}  # fmt: skip
FORMATS = {"float32": (24, -149), "bfloat16": (8, -133), "float16": (11, -24)}


def rounded(x, digits=24, least=-149):
    if not isinstance(x, Fraction):
        if not math.isfinite(x):
            return x
        x = Fraction(x)
    if x == 0:
        return 0.0
    size = abs(x.numerator).bit_length() - x.denominator.bit_length()
    size -= abs(x) < Fraction(2) ** size  # floor(log2(abs(x)))
    step = Fraction(2) ** max(size - digits + 1, least)
    return float(round(x / step) * step)


def f32(x):
    return rounded(x if isinstance(x, float) else Fraction(x))


def fma(a, b, c):
    return rounded(Fraction(a) * Fraction(b) + Fraction(c))


def bits(x):
    return int.from_bytes(struct.pack(">f", x), "big")


def number(i):
    return struct.unpack(">f", (i & M32).to_bytes(4, "big"))[0]


def signed(word):
    return (word + 2**31) % 2**32 - 2**31


def horner(x, *coefficients):
    total = coefficients[0]
    for coefficient in coefficients[1:]:
        total = fma(total, x, coefficient)
    return total


def constants(letter, highest, lowest=0):
    return [C[f"{letter}{n}"] for n in range(highest, lowest - 1, -1)]


def block(key, b):
    n = (key[1] + b) & M64
    c0, c1, c2, c3, k0, k1 = n & M32, n >> 32, 0, 0, key[0] & M32, key[0] >> 32
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = p1 >> 32 ^ c1 ^ k0, p1 & M32, p0 >> 32 ^ c3 ^ k1, p0 & M32
        k0, k1 = k0 + 0x9E3779B9 & M32, k1 + 0xBB67AE85 & M32
    return c0, c1, c2, c3


def fold_in(key, data):
    if isinstance(data, str):
        hashed = hashlib.blake2b(data.encode(), digest_size=8).digest()
        data = int.from_bytes(hashed, "little")
    r = block(key, data & M64)
    return r[0] + (r[1] << 32), r[2] + (r[3] << 32)


def word(key, i):
    return block(key, i // 4)[i % 4]


def fraction(r):
    return fma(f32(r), 2.0**-32, 2.0**-33)


def neg_log(u):
    i = bits(u)
    e = i - 0x3F3504F3 & 0xFF800000
    m = f32(Fraction(number(i - e)) - 1)
    r = horner(m, *constants("L", 7))
    return fma(f32(signed(e)), C["MINUS_LN2"], f32(Fraction(r) * Fraction(m)))


def root(x):
    exact = Fraction(number(bits(x) | 1)) * 4**200
    return f32(Fraction(math.isqrt(exact.numerator // exact.denominator), 2**200))


def times(a, b):
    return f32(Fraction(a) * Fraction(b))


def normal_pair(r, q, mean, std):
    i = bits(fma(f32(r), C["BELOW_TWO"], 2.0**-32))
    e, m = ~i & 0x3F800000, f32(Fraction(number(i | 0x3F800000)) - 2)
    rho = root(fma(f32(e), C["LN2"], fma(horner(m, *constants("R", 7)), m, C["EXCESS"])))
    x = times(f32(signed(0x80000001 - 2 * q)), 2.0**-31)
    w = fma(-x, x, 1)
    s = times(horner(w, *constants("S", 4)), x)
    c = horner(w, *constants("C", 4), C["LEAST"])
    sigma = times(rho, f32(std)) * (-1 if q >> 31 else 1)
    return fma(sigma, s, f32(mean)), fma(sigma, c, f32(mean))


def uniform(key, i, a, b):
    low, scale = f32(a), f32((b - a) * 2.0**-24)
    while fma(2**24 - 1, scale, low) >= f32(b):
        scale = number(bits(scale) - 1)
    return fma(word(key, i) % 2**24, scale, low)


def normal(key, i, mean, std):
    lanes = block(key, i // 4)[i % 4 // 2 * 2 :]
    return normal_pair(*lanes[:2], mean, std)[i % 2]


def sparse(key, rows, columns, sparsity, std):
    mask, count = fold_in(key, "sparse.mask"), math.ceil(sparsity * rows)
    values = [normal(key, i, 0.0, std) for i in range(rows * columns)]
    for column in range(columns):
        ranked = sorted(range(rows), key=lambda row: (word(mask, row * columns + column), row))
        for row in ranked[:count]:
            values[row * columns + column] = 0.0
    return values
