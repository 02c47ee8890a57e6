"""The PTX instructions that read and write memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.ptx.lanes import Lanes, dtype_of, width_of

Operands = tuple[Any, ...]
Operation = Callable[[Lanes, list[str], Operands], None]


def load(lanes: Lanes, parts: list[str], operands: Operands) -> None:
    space, kind = parts[1], parts[-1]
    names = operands[0] if isinstance(operands[0], tuple) else (operands[0],)
    if space == "param":
        lanes.write(names[0], lanes.parameter(operands[1].strip("[]"), kind), kind)
        return
    step = width_of(kind) // 8
    at = lanes.address(operands[1], space, step * len(names))
    for n, name in enumerate(names):
        bits = lanes.memory.gather(at + np.uint64(n * step), lanes.on, step)
        lanes.write(name, bits.astype(f"u{step}").view(dtype_of(kind)), kind)


def store(lanes: Lanes, parts: list[str], operands: Operands) -> None:
    space, kind = parts[1], parts[-1]
    names = operands[1] if isinstance(operands[1], tuple) else (operands[1],)
    step = width_of(kind) // 8
    at = lanes.address(operands[0], space, step * len(names))
    for n, name in enumerate(names):
        bits = np.broadcast_to(lanes.read(name, kind), lanes.count).astype(np.uint64)
        lanes.memory.scatter(at + np.uint64(n * step), lanes.on, step, bits)


def store_matrices(lanes: Lanes, parts: list[str], operands: Operands) -> None:
    """stmatrix: 8 x 8 numbers of 16 bits a matrix, a register each.

    Lane 8 m + r gives the address of row r of matrix m; lane t holds two numbers of row t / 4.
    """
    assert parts[1:4] == ["sync", "aligned", "m8n8"]
    assert parts[-2:] == ["shared", "b16"]
    assert lanes.whole_warps()
    rows = lanes.address(operands[0], "shared", 16).reshape(-1, 32)
    lane = np.arange(32)
    for m, name in enumerate(operands[1]):
        at = rows[:, 8 * m + lane // 4] + (4 * (lane % 4)).astype(np.uint64)
        bits = lanes.read(name, "b32").astype(np.uint64)
        lanes.memory.scatter(at.reshape(-1), lanes.on, 4, bits)


def atomic(lanes: Lanes, parts: list[str], operands: Operands) -> None:
    assert parts[-2:] == ["add", "u64"]
    assert parts[1] == "global"
    at = lanes.address(operands[1], "global", 8)
    added = np.broadcast_to(lanes.read(operands[2], "u64"), lanes.count)
    lanes.write(operands[0], lanes.memory.add(at, lanes.on, added), "u64")


ACCESSES: dict[str, Operation] = {
    "ld": load,
    "st": store,
    "stmatrix": store_matrices,
    "atom": atomic,
}
