"""The arithmetic the sampling functions are written in, for numpy arrays.

Each function here has one exact meaning (IEEE 754, round to nearest even), so that numpy,
numba and a GPU give the same bits.  ``backends/numba_.py`` puts compiled versions of the same
names in the place of these; ``kernels/`` writes the corresponding Triton operations.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32] | np.float32
F64 = npt.NDArray[np.float64] | np.float64
U32 = npt.NDArray[np.uint32] | np.uint32
I32 = npt.NDArray[np.int32] | np.int32
U64 = npt.NDArray[np.uint64] | np.uint64
I64 = npt.NDArray[np.int64] | np.int64
Bool = npt.NDArray[np.bool_] | np.bool_
Float = TypeVar("Float", F32, F64)
Value = TypeVar("Value", F32, F64, I64)


def fma(a: F32, b: F32, c: F32) -> F32:
    """a * b + c in float32, rounded once.

    numpy has no fused multiply-add.  The product of two float32 values is exact in float64;
    the sum is rounded to odd there (Boldo and Melquiond, "Emulation of FMA and correctly
    rounded sums: proved algorithms using rounding to odd", IEEE Trans. Comput. 57, 2008), and
    the last rounding, to float32, is then that of the exact value.
    """
    p = np.multiply(a, b, dtype=np.float64)
    c64 = np.asarray(c, dtype=np.float64)
    s = p + c64
    t = s - p
    error = (p - (s - t)) + (c64 - t)  # Knuth's 2Sum: p + c == s + error exactly
    bits = np.asarray(s).view(np.int64)
    toward_error = np.where((error > 0) == (s > 0), 1, -1)
    odd = bits + np.where((error != 0) & (bits & 1 == 0), toward_error, 0)
    return odd.view(np.float64).astype(np.float32)


def sqrt(x: Float) -> Float:
    """The correctly rounded square root."""
    return np.sqrt(x)


def divide(a: Float, b: Float) -> Float:
    """The correctly rounded quotient."""
    return np.divide(a, b)


def select(condition: Bool, a: Value, b: Value) -> Value:
    """``a`` where the condition holds, else ``b``."""
    return np.where(condition, a, b)


def clamp(x: Float, low: Float, high: Float) -> Float:
    """``x`` brought into [low, high]."""
    return np.minimum(np.maximum(x, low), high)


def to_u32(x: U64 | I64) -> U32:
    """The low 32 bits."""
    return np.asarray(x).astype(np.uint32)


def whole(x: F32) -> I64:
    """The whole number that x is."""
    return np.asarray(x).astype(np.int64)


def to_i32(x: U32) -> I32:
    """The same 32 bits, read as two's complement."""
    return np.asarray(x).view(np.int32)


def to_u64(x: U32) -> U64:
    """The 32-bit word as a 64-bit one."""
    return np.asarray(x).astype(np.uint64)


def to_i64(x: U64) -> I64:
    """The same 64 bits, read as two's complement."""
    return np.asarray(x).view(np.int64)


def to_f32(x: U32 | I32) -> F32:
    """The integer rounded to the nearest float32."""
    return x.astype(np.float32)


def to_f64(x: U64 | I64) -> F64:
    """The integer rounded to the nearest float64."""
    return x.astype(np.float64)


def bits_of_f32(x: F32) -> I32:
    """The bits of a float32."""
    return np.asarray(x).view(np.int32)


def f32_of_bits(x: I32 | U32) -> F32:
    """The float32 with these bits."""
    return np.asarray(x).view(np.float32)


def bits_of_f64(x: F64) -> I64:
    """The bits of a float64."""
    return np.asarray(x).view(np.int64)


def f64_of_bits(x: I64) -> F64:
    """The float64 with these bits."""
    return np.asarray(x).view(np.float64)
