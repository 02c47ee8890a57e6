"""Operands and results of vector instructions: whole registers, parts of them, other lanes'.

SDWA takes a byte or a half of a register, DPP the register of another lane.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from tests.amd.program import Instruction
from tests.amd.waves import LANES, Waves
from tests.machine.memory import Array

LANE = np.arange(LANES)
ROW = 16  # lanes
PARTS = {"BYTE": 8, "WORD": 16, "DWORD": 32}
ALLOWED = {
    "sdwa": {"dst_sel", "dst_unused", "src0_sel", "src1_sel"},
    "dpp": {"quad_perm", "row_shr", "row_bcast", "row_mask", "bank_mask", "bound_ctrl"},
}


def source(waves: Waves, step: Instruction, place: int, kind: str) -> Array:
    """The operand at a place; the first source is at 1.

    Raises:
        ValueError: a modifier that is not known.
    """
    operand = step.operands[place]
    if not step.modifiers:
        return waves.read(operand, kind)
    unknown = set(step.modifiers) - ALLOWED.get(step.encoding, set())
    if unknown:
        raise ValueError(f"unknown modifiers {sorted(unknown)}")
    if step.encoding == "sdwa":
        part = step.modifiers.get(f"src{place - 1}_sel", "DWORD")
        begin, width = _part(part)
        if width == 32:
            return waves.read(operand, kind)
        bits = waves.read(operand, "u32") >> np.uint32(begin) & np.uint32(2**width - 1)
        return bits.view(kind[0] + "4")
    if place == 1:
        taken, valid = lanes_taken(step.modifiers)
        values = waves.read(operand, kind)
        assert values.shape[1] == LANES
        there = valid & waves.active()[:, taken]
        return np.where(there, values[:, taken], values.dtype.type(0))
    return waves.read(operand, kind)


def result(waves: Waves, step: Instruction, value: Any, kind: str) -> None:
    """Write the first operand.

    Raises:
        ValueError: a part of a register that is written in a way that is not known.
    """
    into = step.operands[0]
    if step.encoding == "sdwa":
        part, rest = step.modifiers["dst_sel"], step.modifiers["dst_unused"]
        begin, width = _part(part)
        if width < 32:
            bits = np.asarray(value).view(np.uint32) & np.uint32(2**width - 1)
            value, kind = bits << np.uint32(begin), "u32"
            if rest == "UNUSED_PRESERVE":
                others = np.uint32(~((2**width - 1) << begin) & 0xFFFFFFFF)
                value = value | waves.read(into, "u32") & others
            elif rest != "UNUSED_PAD":
                raise ValueError(f"unknown {rest}")
    if step.encoding != "dpp":
        waves.write(into, value, kind)
        return
    held = waves.on
    waves.on = waves.active() & written(waves, step.modifiers)
    waves.write(into, value, kind)
    waves.on = held


def _part(name: str) -> tuple[int, int]:
    """The first bit and the width of ``WORD_1`` and its like."""
    size, _, at = name.partition("_")
    return PARTS[size] * int(at or 0), PARTS[size]


def lanes_taken(modifiers: dict[str, str]) -> tuple[Array, Array]:
    """Which lane each takes the first source of, and whether there is such a lane.

    Raises:
        ValueError: a pattern that is not known.
    """
    if "quad_perm" in modifiers:
        order = np.array([int(n) for n in re.findall(r"\d", modifiers["quad_perm"])])
        return LANE // 4 * 4 + order[LANE % 4], np.ones(LANES, bool)
    if "row_shr" in modifiers:
        by = int(modifiers["row_shr"])
        valid = by <= LANE % ROW
        return np.where(valid, LANE - by, LANE), valid
    if "row_bcast" in modifiers:
        last = int(modifiers["row_bcast"])  # 15: of the row before; 31: of the lower half
        valid = last < LANE
        return np.where(valid, LANE // (last + 1) * (last + 1) - 1, LANE), valid
    raise ValueError(f"unknown {modifiers}")


def written(waves: Waves, modifiers: dict[str, str]) -> Array:
    """The lanes that DPP writes.

    The masks choose rows, and quarters of rows; without bound_ctrl a lane whose source is not
    there, or is off, is not written, with it the source is 0.
    """
    rows, banks = int(modifiers["row_mask"], 0), int(modifiers["bank_mask"], 0)
    chosen = (rows >> LANE // ROW & 1 & banks >> LANE % ROW // 4) == 1
    if modifiers.get("bound_ctrl") == "1":
        return np.broadcast_to(chosen, (waves.count, LANES))
    taken, valid = lanes_taken(modifiers)
    both: Array = chosen & valid & waves.active()[:, taken]
    return both
