"""An oracle for the arithmetic: every operation in exact rationals, rounded once.

The functions of ``sampling.py`` and ``sampling64.py`` are run with these operations in the place of
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

from tritoninit import sampling, sampling64
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

    DIGITS, LEAST, FORMATS = 24, -149, ("<f", "<i")
    __array_ufunc__ = None  # numpy's scalars leave the operation to this class

    def __init__(self, value: Fraction, negative_zero: bool = False) -> None:
        self.value = round_to(value, self.DIGITS, self.LEAST)
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
        return self + -self.of(other)

    def __mul__(self, other: Any) -> Single:
        b = self.of(other)
        return type(self)(self.value * b.value, self.minus != b.minus)

    __rmul__ = __mul__

    def __neg__(self) -> Single:
        return type(self)(-self.value, not self.minus)

    def __lt__(self, other: Any) -> bool:
        return self.value < self.of(other).value

    def bits(self) -> int:
        number = -0.0 if self.value == 0 and self.minus else float(self.value)
        number_format, bits_format = self.FORMATS
        return int(struct.unpack(bits_format, struct.pack(number_format, number))[0])


class Double(Single):
    """A float64."""

    DIGITS, LEAST, FORMATS = 53, -1074, ("<d", "<q")


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

    def __rmul__(self, other: Any) -> Word:
        return self._new(int(other) * self.value)

    def __lt__(self, other: Any) -> bool:
        return self.value < int(other)

    def __gt__(self, other: Any) -> bool:
        return self.value > int(other)

    def __lshift__(self, other: Any) -> Word:
        return self._new(self.value << int(other))

    def __rshift__(self, other: Any) -> Word:
        return self._new(self.value >> int(other))

    def __ne__(self, other: object) -> bool:
        return self.value != other

    def __int__(self) -> int:
        return self.value

    __hash__ = None  # type: ignore[assignment]


def kind_of(*numbers: Any) -> type[Single]:
    """The class of the numbers that have one."""
    return next((type(number) for number in numbers if isinstance(number, Single)), Single)


def fma(a: Any, b: Any, c: Any) -> Single:
    kind = kind_of(a, b, c)
    x, y, z = kind.of(a), kind.of(b), kind.of(c)
    exact = x.value * y.value + z.value
    product_minus = x.minus != y.minus
    zero_minus = product_minus and z.minus  # exact cancellation gives +0
    return kind(exact, zero_minus if x.value * y.value == 0 or exact != 0 else False)


def sqrt(x: Single) -> Single:
    """Correctly rounded: bits beyond the last decide, since a root is no midpoint."""
    scaled = x.value * Fraction(4) ** 120
    root = math.isqrt(scaled.numerator // scaled.denominator)
    exact = root * root == scaled
    value = Fraction(root) / Fraction(2) ** 120
    return type(x)(value if exact else value + Fraction(1, 2**121), x.minus)


def divide(a: Any, b: Any) -> Single:
    kind = kind_of(a, b)
    x, y = kind.of(a), kind.of(b)
    return kind(x.value / y.value, x.minus != y.minus)


def clamp(x: Single, low: float, high: float) -> Single:
    if x.value < low:
        return x.of(low)
    return x.of(high) if x.value > high else x


OPERATIONS: dict[str, Any] = {
    "fma": fma,
    "sqrt": sqrt,
    "divide": divide,
    "select": lambda condition, a, b: a if condition else b,
    "clamp": clamp,
    "to_u32": lambda x: Word(x.value, 32),
    "whole": lambda x: Word(int(x), 64, True),
    "to_i32": lambda x: Word(x.value, 32, True),
    "to_f32": lambda x: Single(Fraction(x.value)),
    "to_i64": lambda x: Word(x.value, 64, True),
    "to_f64": lambda x: Double(Fraction(x.value)),
    "bits_of_f64": lambda x: Word(x.bits(), 64, True),
    "f64_of_bits": lambda x: Double.of(struct.unpack("<d", struct.pack("<q", x.value))[0]),
    "bits_of_f32": lambda x: Word(x.bits(), 32, True),
    "f32_of_bits": lambda x: Single.of(struct.unpack("<f", struct.pack("<i", x.value))[0]),
}


def _scope(module: types.ModuleType, one: Single) -> dict[str, Any]:
    scope: dict[str, Any] = dict(vars(module)) | OPERATIONS
    scope["ONE"] = one
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if function.__module__ == module.__name__:
            scope[name] = types.FunctionType(function.__code__, scope, name)
    return scope


SCOPES = {
    4: _scope(sampling, Single(Fraction(1))),
    2: _scope(sampling64, Double(Fraction(1))),
}


def element(key: Key, index: int, sampler: Sampler, dtype: DType) -> Single:
    """The float32 or float64 sample of one element."""
    lanes = 2 if dtype.is_double else 4
    words = [Word(word, 64) for word in key.block(index // lanes)]
    result: tuple[Single, ...] = SCOPES[lanes][f"{sampler.kind}{lanes}"](*words, sampler.params)
    return result[index % lanes]


def stored(value: Single, dtype: DType) -> float:
    """The sample as it is stored: rounded once more for the 16-bit dtypes."""
    if dtype is DType.BFLOAT16:
        return float(round_to(value.value, 8, -133))
    if dtype is DType.FLOAT16:
        rounded = round_to(value.value, 11, -24)
        return float(rounded) if abs(rounded) < 65520 else math.copysign(math.inf, rounded)
    return float(value.value)
