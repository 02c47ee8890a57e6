"""What each scalar instruction computes, for all waves at once ("AMD Instinct MI300 ISA")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.amd.integers import TESTS, U32, U64, Operation, high, low, reversed_bits
from tests.amd.program import Instruction, Operand
from tests.amd.waves import EXEC, Waves
from tests.machine.memory import Array

Flag = Callable[..., Any]
EXECUTED = Operand("s", "exec", EXEC, 2)


def plain(kinds: str, compute: Callable[..., Any], flag: Flag | None = None) -> Operation:
    """A result and its sources; ``flag`` (result, sources) is what becomes of scc."""
    into, *sources = kinds.split()

    def run(waves: Waves, step: Instruction) -> None:
        assert len(step.operands) == 1 + len(sources)
        values = [waves.read(o, kind) for o, kind in zip(step.operands[1:], sources, strict=True)]
        found = np.asarray(compute(*values))
        if flag is not None:  # before a register that is read may be written
            waves.write_scc(flag(found, *values))
        waves.write_scalar(step.operands[0], np.broadcast_to(found, (waves.count, 1)), into)

    return run


def nonzero(found: Array, *_: Array) -> Array:
    return found != 0


def overflow(found: Array, a: Array, b: Array) -> Array:
    """Of a sum of signed numbers."""
    return ((a ^ found) & (b ^ found)) < 0


def overflow_below(found: Array, a: Array, b: Array) -> Array:
    """Of a difference."""
    return ((a ^ b) & (a ^ found)) < 0


def with_carry(sign: int) -> Operation:
    """s_addc_u32 and s_subb_u32: scc is the carry, in and out."""

    def run(waves: Waves, step: Instruction) -> None:
        a, b = (waves.read(operand, "u32").astype(np.int64) for operand in step.operands[1:])
        total = np.broadcast_to(a + sign * (b + waves.scc), (waves.count, 1))
        waves.write_scalar(step.operands[0], total.astype(U32), "u32")
        waves.write_scc((total < 0) | (total >> 32 != 0))

    return run


def scalar_field(a: Array, place: Array) -> Array:
    """Bits of a word: where they begin in bits 0 to 4 of ``place``, how many in 16 to 22."""
    width = np.minimum(place >> U32(16) & U32(0x7F), U32(32)).astype(U64)
    mask = ((U64(1) << width) - U64(1)).astype(U32)
    return (a >> (place & U32(31))) & mask


def by_constant(compute: Callable[..., Any], flag: Flag | None = None) -> Operation:
    """d = d and a constant of 16 bits with its sign."""

    def run(waves: Waves, step: Instruction) -> None:
        held = waves.read(step.operands[0], "i32")
        constant = waves.read(step.operands[1], "u32").astype(np.int16).astype(np.int32)
        found = compute(held, constant)
        if flag is not None:
            waves.write_scc(flag(found, held, constant))
        waves.write_scalar(step.operands[0], found, "i32")

    return run


def compare(kind: str, test: Callable[[Array, Array], Array]) -> Operation:
    def run(waves: Waves, step: Instruction) -> None:
        a, b = (waves.read(operand, kind) for operand in step.operands)
        waves.write_scc(test(a, b))

    return run


def bit_is(value: int) -> Operation:
    """s_bitcmp: whether a bit of the first, which the second names, has a value."""

    def run(waves: Waves, step: Instruction) -> None:
        a, place = (waves.read(operand, "u32") for operand in step.operands)
        waves.write_scc((a >> low(place, 32) & U32(1)) == value)

    return run


def choose(kind: str) -> Operation:
    """s_cselect: the first where scc is set, else the second."""

    def run(waves: Waves, step: Instruction) -> None:
        a, b = (waves.read(operand, kind) for operand in step.operands[1:])
        waves.write_scalar(step.operands[0], np.where(waves.scc, a, b), kind)

    return run


def saving(compute: Callable[[Array, Array], Array]) -> Operation:
    """s_and_saveexec_b64 and its like: d is exec as it was, exec what comes of it."""

    def run(waves: Waves, step: Instruction) -> None:
        held = waves.read(EXECUTED, "u64").copy()
        found = compute(waves.read(step.operands[1], "u64"), held)
        waves.write_scalar(step.operands[0], held, "u64")
        waves.write_scalar(EXECUTED, np.broadcast_to(found, held.shape), "u64")
        waves.write_scc(found != 0)

    return run


def nothing(waves: Waves, step: Instruction) -> None:
    """What is a matter of time only."""


def shifted_sum(by: int) -> Operation:
    """s_lshl1_add_u32 and its like: scc is the carry."""

    def run(waves: Waves, step: Instruction) -> None:
        a, b = (waves.read(operand, "u32").astype(U64) for operand in step.operands[1:])
        total = np.broadcast_to((a << U64(by)) + b, (waves.count, 1))
        waves.write_scalar(step.operands[0], total.astype(U32), "u32")
        waves.write_scc(total >> U64(32) != 0)

    return run


SCALARS: dict[str, Operation] = {
    "s_mov_b32": plain("u32 u32", lambda a: a),
    "s_mov_b64": plain("u64 u64", lambda a: a),
    "s_movk_i32": plain("i32 u32", lambda a: a.astype(np.int16)),
    "s_not_b32": plain("u32 u32", np.invert, nonzero),
    "s_not_b64": plain("u64 u64", np.invert, nonzero),
    "s_brev_b32": plain("u32 u32", reversed_bits),
    "s_abs_i32": plain("i32 i32", np.abs, nonzero),
    "s_bcnt1_i32_b64": plain("u32 u64", np.bitwise_count, nonzero),
    "s_bfe_u32": plain("u32 u32 u32", scalar_field, nonzero),
    "s_add_u32": plain("u32 u32 u32", np.add, lambda found, a, b: found < a),
    "s_add_i32": plain("i32 i32 i32", np.add, overflow),
    "s_sub_u32": plain("u32 u32 u32", np.subtract, lambda found, a, b: b > a),
    "s_sub_i32": plain("i32 i32 i32", np.subtract, overflow_below),
    "s_addc_u32": with_carry(1),
    "s_subb_u32": with_carry(-1),
    "s_addk_i32": by_constant(np.add, overflow),
    "s_mulk_i32": by_constant(np.multiply),
    "s_mul_i32": plain("i32 i32 i32", np.multiply),
    "s_mul_hi_u32": plain("u32 u32 u32", high),
    "s_mul_hi_i32": plain("i32 i32 i32", lambda a, b: a.astype(np.int64) * b >> np.int64(32)),
    "s_lshl1_add_u32": shifted_sum(1),
    "s_lshl2_add_u32": shifted_sum(2),
    "s_lshl3_add_u32": shifted_sum(3),
    "s_lshl4_add_u32": shifted_sum(4),
    "s_pack_ll_b32_b16": plain("u32 u32 u32", lambda a, b: b << U32(16) | a & U32(0xFFFF)),
    "s_min_i32": plain("i32 i32 i32", np.minimum, lambda found, a, b: a < b),
    "s_min_u32": plain("u32 u32 u32", np.minimum, lambda found, a, b: a < b),
    "s_max_i32": plain("i32 i32 i32", np.maximum, lambda found, a, b: a > b),
    "s_max_u32": plain("u32 u32 u32", np.maximum, lambda found, a, b: a > b),
    "s_cselect_b32": choose("u32"),
    "s_cselect_b64": choose("u64"),
    "s_and_saveexec_b64": saving(lambda a, held: a & held),
    "s_or_saveexec_b64": saving(lambda a, held: a | held),
    "s_andn2_saveexec_b64": saving(lambda a, held: a & ~held),
    "s_bitcmp0_b32": bit_is(0),
    "s_bitcmp1_b32": bit_is(1),
    "s_nop": nothing,
    "s_waitcnt": nothing,
}
for bits in (32, 64):
    pair = f"u{bits} u{bits} u{bits}"
    SCALARS |= {
        f"s_and_b{bits}": plain(pair, np.bitwise_and, nonzero),
        f"s_or_b{bits}": plain(pair, np.bitwise_or, nonzero),
        f"s_xor_b{bits}": plain(pair, np.bitwise_xor, nonzero),
        f"s_andn2_b{bits}": plain(pair, lambda a, b: a & ~b, nonzero),
        f"s_orn2_b{bits}": plain(pair, lambda a, b: a | ~b, nonzero),
    }
    for letter, name in (("u", "s_lshl_b"), ("u", "s_lshr_b"), ("i", "s_ashr_i")):
        move = np.left_shift if name == "s_lshl_b" else np.right_shift
        SCALARS[f"{name}{bits}"] = plain(
            f"{letter}{bits} {letter}{bits} u32",
            lambda a, by, move=move, bits=bits: move(a, low(by, bits).astype(a.dtype)),
            nonzero,
        )
SCALARS |= {
    f"s_cmp_{name}_{kind}": compare(kind, test)
    for name, test in TESTS.items()
    for kind in ("u32", "i32", "u64")
}
