"""Instructions by which lanes of a wave, and waves and scalars, exchange values."""

from __future__ import annotations

import re

import numpy as np

from tests.amd.integers import Operation
from tests.amd.program import Instruction
from tests.amd.selection import LANE
from tests.amd.waves import EXEC, LANES, Waves
from tests.machine.memory import Array

HALF = 32  # lanes: a swizzle stays inside


def read_first(waves: Waves, step: Instruction) -> None:
    """v_readfirstlane_b32: of the first lane that is on, or of lane 0."""
    first = waves.bits(EXEC).argmax(axis=1)
    values = np.broadcast_to(waves.read(step.operands[1], "u32"), (waves.count, LANES))
    waves.write_scalar(step.operands[0], values[np.arange(waves.count), first][:, None], "u32")


def read_lane(waves: Waves, step: Instruction) -> None:
    """v_readlane_b32: of a lane, on or not."""
    lane = int(step.operands[2].text)
    values = waves.read(step.operands[1], "u32")
    waves.write_scalar(step.operands[0], values[:, lane : lane + 1], "u32")


def write_lane(waves: Waves, step: Instruction) -> None:
    value = np.broadcast_to(waves.read(step.operands[1], "u32"), (waves.count, 1))
    waves.write_lane(step.operands[0], int(step.operands[2].text), value)


def take(waves: Waves, step: Instruction) -> None:
    """ds_bpermute_b32: of the lane at a quarter of the address; of one that is off 0."""
    lanes = waves.read(step.operands[1], "u32") // np.uint32(4) % np.uint32(LANES)
    assert not step.modifiers
    _taken(waves, step, lanes)


def swizzle(waves: Waves, step: Instruction) -> None:
    """ds_swizzle_b32: of the lane that is ``SWAP`` further or back.

    Raises:
        ValueError: another pattern.
    """
    matched = re.fullmatch(r"swizzle\(SWAP,(\d+)\)", step.modifiers.get("offset", ""))
    if not matched or int(matched[1]) >= HALF:
        raise ValueError(f"unknown swizzle {step.modifiers}")
    _taken(waves, step, np.broadcast_to(LANE ^ int(matched[1]), (waves.count, LANES)))


def _taken(waves: Waves, step: Instruction, lanes: Array) -> None:
    values = waves.read(step.operands[-1], "u32")
    lanes = lanes.astype(np.int64)
    there = np.take_along_axis(waves.active(), lanes, axis=1)
    found = np.where(there, np.take_along_axis(values, lanes, axis=1), np.uint32(0))
    waves.write(step.operands[0], found, "u32")


def swap(waves: Waves, step: Instruction) -> None:
    """v_permlane16_swap_b32, v_permlane32_swap_b32: the odd rows of the first, of as many lanes,
    with the even rows of the second.

    Raises:
        ValueError: some lanes of a wave are off.
    """
    active = waves.active()
    if (active.any(axis=1) != active.all(axis=1)).any():
        raise ValueError("a swap of lanes that are off")
    lanes = int(step.name[len("v_permlane") :][:2])
    held = [waves.read(o, "u32").reshape(waves.count, -1, 2, lanes) for o in step.operands]
    held = [values.copy() for values in held]
    for half, operand in enumerate(step.operands):
        rows = np.stack([held[0][:, :, half], held[1][:, :, half]], axis=2)
        waves.write(operand, rows.reshape(waves.count, LANES), "u32")


EXCHANGES: dict[str, Operation] = {
    "v_readfirstlane_b32": read_first,
    "v_readlane_b32": read_lane,
    "v_writelane_b32": write_lane,
    "ds_bpermute_b32": take,
    "ds_swizzle_b32": swizzle,
    "v_permlane16_swap_b32": swap,
    "v_permlane32_swap_b32": swap,
}
