"""Triton's interpreter with IEEE arithmetic where its own differs from a GPU's.

Its ``tl.fma`` multiplies and adds with two roundings, and its cast to bfloat16 truncates; a
GPU fuses, and rounds to nearest even.  Nothing else is replaced.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import triton.language as tl
from triton.runtime import interpreter

from tritoninit.arith import fma
from tritoninit.backends.numpy_ import to_storage
from tritoninit.sampler import DType


def install() -> None:
    """Replace the interpreter's fused multiply-add and its cast to bfloat16."""
    builder = interpreter.InterpreterBuilder
    handle = interpreter.TensorHandle
    truncate = builder.create_fp_trunc

    def create_fma(self: Any, x: Any, y: Any, z: Any) -> Any:
        return handle(fma(x.data, y.data, z.data), z.dtype.scalar)

    def create_fp_trunc(self: Any, source: Any, target: Any) -> Any:
        if target.scalar == tl.bfloat16 and source.data.dtype == np.float32:
            return handle(to_storage(source.data, DType.BFLOAT16), target.scalar)
        return truncate(self, source, target)

    builder.create_fma = create_fma
    builder.create_fp_trunc = create_fp_trunc
