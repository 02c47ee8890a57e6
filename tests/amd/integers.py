"""What each vector instruction on integers and bits computes ("AMD Instinct MI300 ISA")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.amd.program import Instruction
from tests.amd.selection import LANE, result, source
from tests.amd.waves import Waves
from tests.machine.memory import Array

Operation = Callable[[Waves, Instruction], None]
U32, U64 = np.uint32, np.uint64
TESTS = {
    "lt": np.less,
    "le": np.less_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "lg": np.not_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


def each(kinds: str, compute: Callable[..., Any]) -> Operation:
    """A result and its sources, one lane like the other: the kinds in the operands' order."""
    into, *sources = kinds.split()

    def run(waves: Waves, step: Instruction) -> None:
        assert len(step.operands) == 1 + len(sources)
        values = [source(waves, step, 1 + n, kind) for n, kind in enumerate(sources)]
        result(waves, step, compute(*values), into)

    return run


def low(by: Array, bits: int) -> Array:
    """A shift takes as many bits of its distance as it needs."""
    return by & by.dtype.type(bits - 1)


def carrying(compute: Callable[[Array, Array, Array], Array], takes: bool) -> Operation:
    """vdst, carry out, a, b and where it ``takes`` one a carry in; bit 32 is the carry out."""

    def run(waves: Waves, step: Instruction) -> None:
        into, out, *_ = step.operands
        assert len(step.operands) == 4 + takes
        assert not step.modifiers
        a, b = (waves.read(operand, "u32").astype(U64) for operand in step.operands[2:4])
        carry = waves.bits(step.operands[4].first).astype(U64) if takes else U64(0)
        total = compute(a, b, carry)
        waves.write(into, total.astype(U32), "u32")
        waves.write_flags(out, (total >> U64(32) & U64(1)) == 1)

    return run


def multiply_add(waves: Waves, step: Instruction) -> None:
    """v_mad_u64_u32: a * b + c of 64 bits, and its carry."""
    into, out, *_ = step.operands
    a, b = (waves.read(operand, "u32").astype(U64) for operand in step.operands[2:4])
    product = a * b
    total = product + waves.read(step.operands[4], "u64")
    waves.write(into, total, "u64")
    waves.write_flags(out, total < product)


def select(waves: Waves, step: Instruction) -> None:
    """v_cndmask_b32: b where the lane's flag is set, else a."""
    flags = waves.bits(step.operands[3].first)
    a, b = (source(waves, step, place, "u32") for place in (1, 2))
    result(waves, step, np.where(flags, b, a), "u32")


def compare(kind: str, test: Callable[[Array, Array], Array]) -> Operation:
    def run(waves: Waves, step: Instruction) -> None:
        a, b = (source(waves, step, place, kind) for place in (1, 2))
        waves.write_flags(step.operands[0], test(a, b))

    return run


def reversed_bits(a: Array) -> Array:
    held = np.unpackbits(np.ascontiguousarray(a)[..., None].view(np.uint8), axis=-1)
    return np.packbits(held[..., ::-1], axis=-1).view(U32)[..., 0]


def permute(a: Array, b: Array, choice: Array) -> Array:
    """v_perm_b32: each byte is one of b (0 to 3), of a (4 to 7), a sign, 0 or 255.

    8 to 11 are the signs of the halves of b and a, 12 is 0, and what is above is 255.
    """
    whole = a.astype(U64) << U64(32) | b
    found = U32(0)
    for n in range(4):
        chosen = choice >> U32(8 * n) & U32(255)
        byte = whole >> (chosen & U32(7)).astype(U64) * U64(8) & U64(255)
        half = (chosen & U32(3)).astype(U64) * U64(16) + U64(15)
        sign = (whole >> half & U64(1)) * U64(255)
        byte = np.where(chosen < 8, byte, np.where(chosen < 12, sign, U64(255)))
        byte = np.where(chosen == 12, U64(0), byte)
        found = found | byte.astype(U32) << U32(8 * n)
    return np.asarray(found)


def bitwise(waves: Waves, step: Instruction) -> None:
    """v_bitop3_b32: bit 4 a + 2 b + c of the modifier for each of the bits of a, b and c."""
    (name,) = step.modifiers
    assert name == "bitop3"
    table = int(step.modifiers[name], 0)
    values = [waves.read(operand, "u32") for operand in step.operands[1:]]
    found = U32(0)
    for n in range(8):
        if table >> n & 1:
            a, b, c = (v if n & 4 >> m else ~v for m, v in enumerate(values))
            found = found | a & b & c
    waves.write(step.operands[0], found, "u32")


def counted_below(half: int) -> Callable[[Array, Array], Array]:
    """v_mbcnt: b and how many flags of one half of the lanes are set before this one."""
    before = np.array([(1 << min(max(n - 32 * half, 0), 32)) - 1 for n in LANE], U32)

    def compute(flags: Array, b: Array) -> Array:
        return b + np.bitwise_count(flags & before).astype(U32)

    return compute


def field(a: Array, begin: Array, width: Array) -> Array:
    mask = (U32(1) << low(width, 32)) - U32(1)
    return a >> low(begin, 32) & mask


def signed_field(a: Array, begin: Array, width: Array) -> Array:
    """Of no width 0; what lies beyond the upper end of a is its sign."""
    size = low(width, 32).astype(np.int64)
    left = np.int64(64) - size
    moved = a.astype(np.int64) >> low(begin, 32).astype(np.int64)
    return np.where(size == 0, 0, moved << np.minimum(left, 63) >> np.minimum(left, 63))


def high(a: Array, b: Array) -> Array:
    return a.astype(U64) * b.astype(U64) >> U64(32)


INTEGERS: dict[str, Operation] = {
    "v_mov_b32": each("u32 u32", lambda a: a),
    "v_mov_b64": each("u64 u64", lambda a: a),
    "v_not_b32": each("u32 u32", np.invert),
    "v_bfrev_b32": each("u32 u32", reversed_bits),
    "v_and_b32": each("u32 u32 u32", np.bitwise_and),
    "v_or_b32": each("u32 u32 u32", np.bitwise_or),
    "v_xor_b32": each("u32 u32 u32", np.bitwise_xor),
    "v_add_u32": each("u32 u32 u32", np.add),
    "v_sub_u32": each("u32 u32 u32", np.subtract),
    "v_subrev_u32": each("u32 u32 u32", lambda a, b: b - a),
    "v_max_i32": each("i32 i32 i32", np.maximum),
    "v_max_u32": each("u32 u32 u32", np.maximum),
    "v_min_i32": each("i32 i32 i32", np.minimum),
    "v_min_u32": each("u32 u32 u32", np.minimum),
    "v_mul_lo_u32": each("u32 u32 u32", np.multiply),
    "v_mul_hi_u32": each("u32 u32 u32", high),
    "v_lshlrev_b32": each("u32 u32 u32", lambda by, a: a << low(by, 32)),
    "v_lshrrev_b32": each("u32 u32 u32", lambda by, a: a >> low(by, 32)),
    "v_ashrrev_i32": each("i32 i32 i32", lambda by, a: a >> low(by, 32)),
    "v_lshlrev_b64": each("u64 u32 u64", lambda by, a: a << low(by, 64).astype(U64)),
    "v_lshrrev_b64": each("u64 u32 u64", lambda by, a: a >> low(by, 64).astype(U64)),
    "v_ashrrev_i64": each("i64 u32 i64", lambda by, a: a >> low(by, 64).astype(np.int64)),
    "v_add3_u32": each("u32 u32 u32 u32", lambda a, b, c: a + b + c),
    "v_add_lshl_u32": each("u32 u32 u32 u32", lambda a, b, by: a + b << low(by, 32)),
    "v_lshl_add_u32": each("u32 u32 u32 u32", lambda a, by, c: (a << low(by, 32)) + c),
    "v_lshl_add_u64": each("u64 u64 u32 u64", lambda a, by, c: (a << low(by, 8).astype(U64)) + c),
    "v_lshl_or_b32": each("u32 u32 u32 u32", lambda a, by, c: a << low(by, 32) | c),
    "v_and_or_b32": each("u32 u32 u32 u32", lambda a, b, c: a & b | c),
    "v_xad_u32": each("u32 u32 u32 u32", lambda a, b, c: (a ^ b) + c),
    "v_or3_b32": each("u32 u32 u32 u32", lambda a, b, c: a | b | c),
    "v_bfi_b32": each("u32 u32 u32 u32", lambda a, b, c: a & b | ~a & c),
    "v_bfe_u32": each("u32 u32 u32 u32", field),
    "v_bfe_i32": each("i32 i32 u32 u32", signed_field),
    "v_perm_b32": each("u32 u32 u32 u32", permute),
    "v_mbcnt_lo_u32_b32": each("u32 u32 u32", counted_below(0)),
    "v_mbcnt_hi_u32_b32": each("u32 u32 u32", counted_below(1)),
    "v_add_co_u32": carrying(lambda a, b, _: a + b, False),
    "v_sub_co_u32": carrying(lambda a, b, _: a - b, False),
    "v_subrev_co_u32": carrying(lambda a, b, _: b - a, False),
    "v_addc_co_u32": carrying(lambda a, b, carry: a + b + carry, True),
    "v_subb_co_u32": carrying(lambda a, b, carry: a - b - carry, True),
    "v_subbrev_co_u32": carrying(lambda a, b, carry: b - a - carry, True),
    "v_mad_u64_u32": multiply_add,
    "v_cndmask_b32": select,
    "v_bitop3_b32": bitwise,
}
INTEGERS |= {
    f"v_cmp_{name}_{kind}": compare(kind, test)
    for name, test in TESTS.items()
    for kind in ("u16", "u32", "i32", "u64", "i64")
}
