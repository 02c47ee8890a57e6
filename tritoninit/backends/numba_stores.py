"""How a compiled kernel stores a sample in each dtype: rounded once, to nearest even."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types as nbt
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from tritoninit.backends.numba_compile import f32_of_i32, i32_of_f32
from tritoninit.sampler import DType

U32 = np.uint32


@intrinsic
def float16_bits(typingctx: Any, x: Any) -> Any:
    """The bits of a float32 rounded to the nearest float16, by the processor's instruction."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        half = builder.fptrunc(args[0], ir.HalfType())
        return builder.bitcast(half, ir.IntType(16))

    return nbt.uint16(nbt.float32), codegen


def converts_halves() -> bool:
    """Whether the processor rounds float32 to float16.

    Without the instruction (x86 without F16C: before 2012, and under emulators) LLVM calls a
    function that numba's processes do not hold, and the first call of a kernel ends the process.
    """
    features = cpu_target.target_context.codegen().magic_tuple()[2]
    machine = platform.machine().lower()
    return "+f16c" in features.split(",") or machine in ("aarch64", "arm64")


def store_float16(value: Any) -> Any:
    """The bits of a float32 rounded to the nearest float16, in integers and one addition."""
    bits = U32(i32_of_f32(value))
    sign = (bits >> U32(16)) & U32(0x8000)
    size = bits & U32(0x7FFFFFFF)
    if size > U32(0x7F800000):
        half = U32(0x7E00)  # NaN
    elif size >= U32(0x47800000):  # 2^16: beyond the largest float16 whatever is rounded
        half = U32(0x7C00)
    elif size < U32(0x38800000):  # 2^-14: 1/2 has the spacing of float16's subnormals, 2^-24
        spaced = f32_of_i32(np.int32(size)) + np.float32(0.5)
        half = U32(i32_of_f32(spaced)) - U32(0x3F000000)
    else:
        rounded = size + U32(0xFFF) + ((size >> U32(13)) & U32(1))
        half = (rounded >> U32(13)) - U32(112 << 10)  # the exponents' biases: 127 - 15
    return np.uint16(sign | half)


def _convert_float16(value: Any) -> Any:
    return float16_bits(value)  # type: ignore[call-arg]  # numba gives the other


def _store_bfloat16(value: Any) -> Any:
    bits = U32(i32_of_f32(value))
    return np.uint16((bits + U32(0x7FFF) + ((bits >> U32(16)) & U32(1))) >> 16)


STORES: dict[DType, Callable[..., Any]] = {
    DType.FLOAT32: lambda value: value,
    DType.FLOAT64: lambda value: value,
    DType.BFLOAT16: _store_bfloat16,
    DType.FLOAT16: _convert_float16 if converts_halves() else store_float16,
}
