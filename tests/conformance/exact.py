"""An oracle for the float32 arithmetic: every operation in exact rationals, rounded once.

The functions of ``tritoninit/sampling.py`` are run with these operations in the place of
``arith.py``'s, on words that come from the plain-integer Philox of ``stream.py``.  Nothing of
numpy's, numba's or Triton's arithmetic takes part.
"""

from __future__ import annotations

import inspect
import math
import struct
import types
from fractions import Fraction
from typing import Any

from tritoninit import sampling
from tritoninit.sampler import DType, Sampler
from tritoninit.stream import Key


def round_to(value: Fraction, digits: int, least: int) -> Fraction:
    """The nearest multiple of 2**max(exponent - digits, least), ties to even."""
    if value == 0:
        return value
    size = abs(value)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    if Fraction(2) ** exponent > size:
        exponent -= 1
    step = Fraction(2) ** max(exponent - digits + 1, least)
    return round(value / step) * step


class Single:
    """A float32: an exact value and the sign of a zero."""

    def __init__(self, value: Fraction, negative_zero: bool = False) -> None:
        self.value = round_to(value, 24, -149)
        self.minus = self.value < 0 or (self.value == 0 and negative_zero)

    @classmethod
    def of(cls, x: Any) -> Single:
        if isinstance(x, Single):
            return x
        number = float(x)
        return cls(Fraction(number), math.copysign(1.0, number) < 0)

    def __add__(self, other: Any) -> Single:
        return fma(self, 1.0, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Single:
        return self + -Single.of(other)

    def __mul__(self, other: Any) -> Single:
        b = Single.of(other)
        return Single(self.value * b.value, self.minus != b.minus)

    __rmul__ = __mul__

    def __neg__(self) -> Single:
        return Single(-self.value, not self.minus)

    def __lt__(self, other: Any) -> bool:
        return self.value < Single.of(other).value

    def bits(self) -> int:
        number = -0.0 if self.value == 0 and self.minus else float(self.value)
        return int(struct.unpack("<i", struct.pack("<f", number))[0])


class Word:
    """An unsigned or signed integer of 32 or 64 bits that wraps."""

    def __init__(self, value: int, width: int, signed: bool = False) -> None:
        value &= (1 << width) - 1
        if signed and value >> (width - 1):
            value -= 1 << width
        self.value, self.width, self.signed = value, width, signed

    def _new(self, value: int) -> Word:
        return Word(value, self.width, self.signed)

    def __and__(self, other: Any) -> Word:
        return self._new(self.value & int(other))

    def __xor__(self, other: Any) -> Word:
        return self._new(self.value ^ int(other))

    def __or__(self, other: Any) -> Word:
        return self._new(self.value | int(other))

    def __invert__(self) -> Word:
        return self._new(~self.value)

    def __add__(self, other: Any) -> Word:
        return self._new(self.value + int(other))

    def __sub__(self, other: Any) -> Word:
        return self._new(self.value - int(other))

    def __rsub__(self, other: Any) -> Word:
        return self._new(int(other) - self.value)

    def __lshift__(self, other: Any) -> Word:
        return self._new(self.value << int(other))

    def __ne__(self, other: object) -> bool:
        return self.value != other

    def __int__(self) -> int:
        return self.value

    __hash__ = None  # type: ignore[assignment]


def fma(a: Any, b: Any, c: Any) -> Single:
    x, y, z = Single.of(a), Single.of(b), Single.of(c)
    exact = x.value * y.value + z.value
    product_minus = x.minus != y.minus
    zero_minus = product_minus and z.minus  # exact cancellation gives +0
    return Single(exact, zero_minus if x.value * y.value == 0 or exact != 0 else False)


def sqrt(x: Single) -> Single:
    """Correctly rounded: 60 bits beyond the last decide, since a root is no float32 midpoint."""
    scaled = x.value * Fraction(4) ** 120
    root = math.isqrt(scaled.numerator // scaled.denominator)
    exact = root * root == scaled
    value = Fraction(root) / Fraction(2) ** 120
    return Single(value if exact else value + Fraction(1, 2**121), x.minus)


def divide(a: Any, b: Any) -> Single:
    x, y = Single.of(a), Single.of(b)
    return Single(x.value / y.value, x.minus != y.minus)


def clamp(x: Single, low: float, high: float) -> Single:
    if x.value < low:
        return Single.of(low)
    return Single.of(high) if x.value > high else x


OPERATIONS: dict[str, Any] = {
    "fma": fma,
    "sqrt": sqrt,
    "divide": divide,
    "select": lambda condition, a, b: a if condition else b,
    "clamp": clamp,
    "to_u32": lambda x: Word(x.value, 32),
    "to_i32": lambda x: Word(x.value, 32, True),
    "to_f32": lambda x: Single(Fraction(x.value)),
    "bits_of_f32": lambda x: Word(x.bits(), 32, True),
    "f32_of_bits": lambda x: Single.of(struct.unpack("<f", struct.pack("<i", x.value))[0]),
}


def _scope() -> dict[str, Any]:
    scope: dict[str, Any] = dict(vars(sampling)) | OPERATIONS
    scope["ONE"] = Single(Fraction(1))
    for name, function in inspect.getmembers(sampling, inspect.isfunction):
        if function.__module__ == sampling.__name__:
            scope[name] = types.FunctionType(function.__code__, scope, name)
    return scope


SCOPE = _scope()


def element(key: Key, index: int, sampler: Sampler) -> Single:
    """The float32 sample of one element."""
    words = [Word(word, 64) for word in key.block(index // 4)]
    result: tuple[Single, ...] = SCOPE[f"{sampler.kind}4"](*words, sampler.params)
    return result[index % 4]


def stored(value: Single, dtype: DType) -> float:
    """The sample as it is stored: rounded once more for the 16-bit dtypes."""
    if dtype is DType.BFLOAT16:
        return float(round_to(value.value, 8, -133))
    if dtype is DType.FLOAT16:
        rounded = round_to(value.value, 11, -24)
        return float(rounded) if abs(rounded) < 65520 else math.copysign(math.inf, rounded)
    return float(value.value)
