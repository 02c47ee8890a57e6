"""The three instructions by which compilers divide: scale, multiply and add, put right.

A quotient n / d is first scaled where it or what leads to it would be subnormal or infinite.
"""

from __future__ import annotations

import numpy as np

from tests.amd.floats import multiply_add
from tests.amd.integers import Operation
from tests.amd.program import Instruction
from tests.amd.waves import VCC, Waves
from tests.machine.memory import Array

BIAS, MANTISSA = 1023, 52
SCALE = 128  # powers of 2


def exponent(x: Array) -> Array:
    """The biased exponent of a float64."""
    held: Array = (x.view(np.uint64) >> np.uint64(MANTISSA) & np.uint64(0x7FF)).astype(np.int64)
    return held


def subnormal(x: Array) -> Array:
    return (x != 0) & (np.abs(x) < np.finfo(np.float64).tiny)


def scale(waves: Waves, step: Instruction) -> None:
    """v_div_scale_f64 result, flags, s0, d, n: s0, which is d or n, scaled where it must be."""
    s0, d, n = (waves.read(operand, "f64") for operand in step.operands[2:])
    s0, d, n = np.broadcast_arrays(s0, d, n)
    inverse_small, small = subnormal(1 / d), subnormal(n / d)
    is_d, is_n = s0 == d, s0 == n
    up, down = np.ldexp(s0, SCALE), np.ldexp(s0, -SCALE)
    cases = [
        (n == 0) | (d == 0),
        exponent(n) - exponent(d) >= 768,
        subnormal(d),
        inverse_small & small,
        inverse_small,
        small,
        exponent(n) <= 53,
    ]
    results = [
        np.full(s0.shape, np.nan),
        np.where(is_d, up, s0),
        up,
        np.where(is_d, up, s0),
        down,
        np.where(is_n, up, s0),
        up,
    ]
    flag = [False, True, False, True, False, True, False]
    waves.write(step.operands[0], np.select(cases, results, s0), "f64")
    waves.write_flags(step.operands[1], np.select(cases, flag, False))


def multiply(waves: Waves, step: Instruction) -> None:
    """v_div_fmas_f64: a fused multiply-add, and a scaling back.

    Raises:
        ValueError: a lane is to be scaled back, which the machine does not do.
    """
    a, b, c = (waves.read(operand, "f64") for operand in step.operands[1:])
    if (waves.bits(VCC) & waves.active()).any():
        raise ValueError("a quotient is to be scaled back")
    waves.write(step.operands[0], multiply_add(waves, a, b, c, "f64"), "f64")


def put_right(waves: Waves, step: Instruction) -> None:
    """v_div_fixup_f64 q, d, n: the quotients of what is no number, 0 or infinite, and the sign."""
    q, d, n = (waves.read(operand, "f64") for operand in step.operands[1:])
    q, d, n = np.broadcast_arrays(q, d, n)
    sign = np.where(np.signbit(d) ^ np.signbit(n), -1.0, 1.0)
    cases = [
        np.isnan(n),
        np.isnan(d),
        ((d == 0) & (n == 0)) | (np.isinf(d) & np.isinf(n)),
        (d == 0) | np.isinf(n),
        np.isinf(d) | (n == 0),
        exponent(n) - exponent(d) < -1075,
    ]
    results = [n, d, np.full(q.shape, np.nan), sign * np.inf, sign * 0.0, sign * 0.0]
    waves.write(step.operands[0], np.select(cases, results, sign * np.abs(q)), "f64")


QUOTIENTS: dict[str, Operation] = {
    "v_div_scale_f64": scale,
    "v_div_fmas_f64": multiply,
    "v_div_fixup_f64": put_right,
}
