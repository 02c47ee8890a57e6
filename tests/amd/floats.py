"""What each instruction on floating-point numbers computes ("AMD Instinct MI300 ISA").

Sums, products and fused multiply-adds are rounded once, to nearest even; subnormals are kept or
flushed where operands are read and results written, as the kernel's descriptor says.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from tests.amd.estimates import estimate, reciprocal, reciprocal_root
from tests.amd.integers import TESTS, Operation, compare, each
from tests.amd.program import Instruction, Operand
from tests.amd.selection import result, source
from tests.amd.waves import Waves
from tests.machine.memory import Array

U32, U64 = np.uint32, np.uint64
ESTIMATES: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "v_rcp_f32": ("f32", reciprocal),
    "v_rcp_iflag_f32": ("f32", reciprocal),
    "v_rcp_f64": ("f64", reciprocal),
    "v_rsq_f32": ("f32", reciprocal_root),
    "v_rsq_f64": ("f64", reciprocal_root),
    "v_sqrt_f32": ("f32", np.sqrt),
    "v_sqrt_f64": ("f64", np.sqrt),
}


def multiply_add(waves: Waves, a: Array, b: Array, c: Array, kind: str) -> Array:
    """a * b + c, rounded once; of all lanes."""
    shape = np.broadcast_shapes(a.shape, b.shape, c.shape)
    size = int(np.prod(shape))
    fused = waves.memory.fused if kind == "f32" else waves.memory.fused_double
    found = fused(*(np.broadcast_to(x, shape).reshape(-1) for x in (a, b, c)), size)
    return found.reshape(shape)


def fused(kind: str, order: tuple[int, int, int]) -> Operation:
    """The places of a, b and c among the operands; 0 is the result's."""

    def run(waves: Waves, step: Instruction) -> None:
        assert len(step.operands) == max(3, 1 + max(order))
        a, b, c = (source(waves, step, place, kind) for place in order)
        result(waves, step, multiply_add(waves, a, b, c, kind), kind)

    return run


def packed(count: int, compute: Callable[..., Array]) -> Operation:
    """Two float32 at once; op_sel and op_sel_hi say which half of a source each takes."""

    def run(waves: Waves, step: Instruction) -> None:
        into, *operands = step.operands
        assert len(operands) == count
        found = []
        for sel, neg in (("op_sel", "neg_lo"), ("op_sel_hi", "neg_hi")):
            upper = _choices(step, sel, count, sel == "op_sel_hi")
            negative = _choices(step, neg, count, False)
            values = [
                _half(waves, operand, up) for operand, up in zip(operands, upper, strict=True)
            ]
            signed = zip(values, negative, strict=True)
            found.append(compute(waves, *(-value if minus else value for value, minus in signed)))
        for n, value in enumerate(found):
            waves.write(into._replace(first=into.first + n, count=1), value, "f32")

    return run


def move_two(waves: Waves, step: Instruction) -> None:
    """v_pk_mov_b32: one half of the first source, and one of the second."""
    into, *operands = step.operands
    halves = _choices(step, "op_sel", 2, False)
    words = [
        waves.read(operand._replace(first=operand.first + upper, count=1), "u32").copy()
        for operand, upper in zip(operands, halves, strict=True)
    ]
    waves.write_dwords(into, words)


def _choices(step: Instruction, name: str, count: int, otherwise: bool) -> list[bool]:
    """A modifier's flag for each source.

    Raises:
        ValueError: a modifier that is not known.
    """
    unknown = set(step.modifiers) - {"op_sel", "op_sel_hi", "neg_lo", "neg_hi"}
    if unknown:
        raise ValueError(f"unknown modifiers {sorted(unknown)}")
    if name not in step.modifiers:
        return [otherwise] * count
    flags = [flag == "1" for flag in step.modifiers[name].strip("[]").split(",")]
    assert len(flags) == count
    return flags


def _half(waves: Waves, operand: Operand, upper: bool) -> Array:
    """One of two float32; a constant is the lower one.

    Raises:
        ValueError: the upper half of a constant.
    """
    if operand.kind != "number":
        return waves.read(operand._replace(first=operand.first + upper, count=1), "f32")
    if upper:
        raise ValueError(f"the upper half of {operand.text}")
    return waves.read(operand, "f32")


def least(a: Array, b: Array) -> Array:
    """The one that is no NaN, and -0 below +0."""
    below = (a < b) | ((a == b) & np.signbit(a)) | np.isnan(b)
    return np.where(below, a, b)


def greatest(a: Array, b: Array) -> Array:
    above = (a > b) | ((a == b) & np.signbit(b)) | np.isnan(b)
    return np.where(above, a, b)


def to_unsigned(x: Array) -> Array:
    """Towards 0; what is outside becomes the nearest that is not, NaN 0."""
    whole = np.where(np.isnan(x), 0, np.trunc(x.astype(np.float64)))
    return np.clip(whole, 0, 2.0**32 - 1).astype(U32)


def to_signed(x: Array) -> Array:
    whole = np.where(np.isnan(x), 0, np.trunc(x.astype(np.float64)))
    return np.clip(whole, -(2.0**31), 2.0**31 - 1).astype(np.int32)


def scaled(a: Array, by: Array) -> Array:
    """v_ldexp: a * 2**by, rounded once."""
    return np.ldexp(a, np.broadcast_to(by, np.broadcast_shapes(a.shape, by.shape)))


def classify(kind: str) -> Operation:
    """v_cmp_class: whether the number is of one of the classes that the second operand names.

    Bits 0 to 9: signalling NaN, NaN, -inf, -normal, -subnormal, -0, 0, subnormal, normal, inf.
    """

    def run(waves: Waves, step: Instruction) -> None:
        a, classes = waves.read(step.operands[1], kind), waves.read(step.operands[2], "u32")
        info = np.finfo(a.dtype)
        bits = a.view(f"u{a.dtype.itemsize}")
        quiet = bits >> bits.dtype.type(info.nmant - 1) & bits.dtype.type(1)
        size = np.abs(a)
        rank = np.where(size == 0, 0, np.where(size < info.tiny, 1, np.where(np.isinf(a), 3, 2)))
        found = np.where(np.signbit(a), 5 - rank, 6 + rank)
        found = np.where(np.isnan(a), quiet.astype(np.int64), found)
        waves.write_flags(step.operands[0], (classes >> found.astype(U32) & U32(1)) == 1)

    return run


def near(kind: str, function: Callable[[Array], Array], choice: str) -> Operation:
    return each(f"{kind} {kind}", partial(estimate, function=function, choice=choice))


def estimates(choice: str) -> dict[str, Operation]:
    """The instructions with an error, see ``estimates.estimate``."""
    return {name: near(*of, choice) for name, of in ESTIMATES.items()}


def to_half(x: Array) -> Array:
    return x.astype(np.float16)


def pack(low: Array, high: Array) -> Array:
    halves = (half.view(np.uint16).astype(U32) for half in (low, high))
    return next(halves) | next(halves) << U32(16)


def pack_bfloat16(low: Array, high: Array) -> Array:
    """The nearest, ties to even: half of what is cut off is added, less one where even."""
    halves = []
    for x in (low, high):
        bits = x.view(U32)
        up = (bits + U32(0x7FFF) + (bits >> U32(16) & U32(1))) >> U32(16)
        halves.append(np.where(np.isnan(x), bits >> U32(16) | U32(0x40), up))
    return halves[0] | halves[1] << U32(16)


FLOATS: dict[str, Operation] = {
    "v_add_f32": each("f32 f32 f32", np.add),
    "v_sub_f32": each("f32 f32 f32", np.subtract),
    "v_subrev_f32": each("f32 f32 f32", lambda a, b: b - a),
    "v_mul_f32": each("f32 f32 f32", np.multiply),
    "v_max_f32": each("f32 f32 f32", greatest),
    "v_min_f32": each("f32 f32 f32", least),
    "v_fma_f32": fused("f32", (1, 2, 3)),
    "v_fmac_f32": fused("f32", (1, 2, 0)),
    "v_fmamk_f32": fused("f32", (1, 2, 3)),
    "v_fmaak_f32": fused("f32", (1, 2, 3)),
    "v_pk_add_f32": packed(2, lambda waves, a, b: a + b),
    "v_pk_mul_f32": packed(2, lambda waves, a, b: a * b),
    "v_pk_fma_f32": packed(3, partial(multiply_add, kind="f32")),
    "v_pk_mov_b32": move_two,
    "v_trunc_f32": each("f32 f32", np.trunc),
    "v_cvt_f32_i32": each("f32 i32", lambda a: a.astype(np.float32)),
    "v_cvt_f32_u32": each("f32 u32", lambda a: a.astype(np.float32)),
    "v_cvt_u32_f32": each("u32 f32", to_unsigned),
    "v_cvt_i32_f32": each("i32 f32", to_signed),
    "v_cvt_f16_f32": each("f16 f32", to_half),
    "v_pack_b32_f16": each("u32 f16 f16", pack),
    "v_cvt_pk_f16_f32": each("u32 f32 f32", lambda a, b: pack(to_half(a), to_half(b))),
    "v_cvt_pk_bf16_f32": each("u32 f32 f32", pack_bfloat16),
    "v_add_f64": each("f64 f64 f64", np.add),
    "v_mul_f64": each("f64 f64 f64", np.multiply),
    "v_max_f64": each("f64 f64 f64", greatest),
    "v_min_f64": each("f64 f64 f64", least),
    "v_fma_f64": fused("f64", (1, 2, 3)),
    "v_fmac_f64": fused("f64", (1, 2, 0)),
    "v_ldexp_f64": each("f64 f64 i32", scaled),
    "v_cvt_f64_i32": each("f64 i32", lambda a: a.astype(np.float64)),
    "v_cvt_f64_u32": each("f64 u32", lambda a: a.astype(np.float64)),
    "v_cvt_f32_f64": each("f32 f64", lambda a: a.astype(np.float32)),
    "v_cmp_class_f32": classify("f32"),
    "v_cmp_class_f64": classify("f64"),
}


def _unordered(a: Array, b: Array) -> Array:
    return np.isnan(a) | np.isnan(b)


for kind in ("f32", "f64"):
    FLOATS |= {f"v_cmp_{name}_{kind}": compare(kind, test) for name, test in TESTS.items()}
    FLOATS[f"v_cmp_lg_{kind}"] = compare(kind, lambda a, b: (a < b) | (a > b))
    FLOATS[f"v_cmp_o_{kind}"] = compare(kind, lambda a, b: ~_unordered(a, b))
    FLOATS[f"v_cmp_u_{kind}"] = compare(kind, _unordered)
    for name in ("lt", "le", "gt", "ge", "lg"):
        test = TESTS[name]
        if name == "lg":
            FLOATS[f"v_cmp_nlg_{kind}"] = compare(kind, lambda a, b: ~((a < b) | (a > b)))
        else:
            FLOATS[f"v_cmp_n{name}_{kind}"] = compare(kind, lambda a, b, test=test: ~test(a, b))
    FLOATS[f"v_cmp_neq_{kind}"] = FLOATS.pop(f"v_cmp_ne_{kind}")
