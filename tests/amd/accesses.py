"""The instructions that read and write memory: arguments, buffers, global and local memory."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from tests.amd.integers import Operation
from tests.amd.program import Instruction, Operand
from tests.amd.waves import LANES, Waves
from tests.machine.memory import Array

DWORD = 4
CACHES = {"sc0", "sc1", "nt"}  # say how long a cache keeps a line
SIZES = {"byte": 1, "ubyte": 1, "short": 2, "ushort": 2, "dword": 4}
SIZES |= {f"dwordx{n}": 4 * n for n in (2, 3, 4, 8, 16)}
SWIZZLED, THREAD_ADDED = 1 << 31, 1 << 23  # of the second and the last word of a buffer's four
LOCAL = re.compile(r"ds_(read|write)(2?)(st64)?_b(32|64|128)")
Addresses = npt.NDArray[np.uint64]


def gather(waves: Waves, at: Addresses, on: Array, size: int) -> list[Array]:
    """The dwords, or the byte or half, at each lane's address."""
    held = at.reshape(-1), on.reshape(-1)
    step = min(size, DWORD)
    return [
        waves.memory.gather(held[0] + np.uint64(n), held[1], step)
        .astype(np.uint32)
        .reshape(at.shape)
        for n in range(0, size, step)
    ]


def scatter(waves: Waves, at: Addresses, on: Array, size: int, values: list[Array]) -> None:
    step = min(size, DWORD)
    for n, value in enumerate(values):
        bits = np.broadcast_to(value, at.shape).astype(np.uint64).reshape(-1)
        place = at.reshape(-1) + np.uint64(n * step)
        waves.memory.scatter(place, on.reshape(-1), step, bits)


def checked(at: Addresses, on: Array, unit: int) -> None:
    """Raises:
    ValueError: not at a multiple of ``unit``.
    """
    if (at[on] % np.uint64(unit)).any():
        raise ValueError(f"an address is no multiple of {unit}")


def load_scalars(waves: Waves, step: Instruction) -> None:
    """s_load: dwords at a scalar address and an offset."""
    into, base, offset = step.operands
    assert not step.modifiers
    size = SIZES[step.name.removeprefix("s_load_")]
    at = waves.read(base, "u64") + np.uint64(int(offset.text, 0))
    on = np.ones(at.shape, bool) if waves.group is None else waves.group
    checked(at, on, DWORD)
    for n, words in enumerate(gather(waves, at, on, size)):
        waves.set_scalar(into.first + n, words)
    assert into.count == size // DWORD


def buffer(waves: Waves, step: Instruction) -> tuple[Addresses, Array]:
    """The address of each lane, and which lanes are inside of what the buffer holds.

    A stride matters only where an index is given, which these instructions do not.

    Raises:
        ValueError: an access that is partly inside, or addresses that are swizzled.
    """
    _, offset, resource, start = step.operands
    if set(step.modifiers) - CACHES - {"offset"} != {"offen"}:
        raise ValueError(f"unknown modifiers {step.modifiers}")
    word0, word1, records, word3 = (word.astype(np.uint64) for word in waves.dwords(resource))
    if waves.any((word1 & np.uint64(SWIZZLED) != 0) | (word3 & np.uint64(THREAD_ADDED) != 0)):
        raise ValueError("a buffer whose addresses are not base and offset")
    size = np.uint64(SIZES[step.name.split("_")[2]])
    inside = waves.read(offset, "u32").astype(np.uint64)
    inside = inside + np.uint64(int(step.modifiers.get("offset", "0"), 0))
    reach = inside + waves.read(start, "u32")
    on = waves.active() & (reach + size <= records)
    if (waves.active() & (reach < records) & ~on).any():
        raise ValueError("an access is partly outside of its buffer")
    base = word0 | (word1 & np.uint64(0xFFFF)) << np.uint64(32)
    at = np.broadcast_to(base + reach, on.shape)
    checked(at, on, min(DWORD, int(size)))
    return at, on


def everywhere(waves: Waves, step: Instruction, offset: Operand, base: Operand) -> Addresses:
    """The address of each lane of global memory."""
    if set(step.modifiers) - CACHES - {"offset"}:
        raise ValueError(f"unknown modifiers {step.modifiers}")
    more = np.int64(int(step.modifiers.get("offset", "0"), 0)).view(np.uint64)
    if base.text == "off":
        at = waves.read(offset, "u64") + more
    else:
        at = waves.read(base, "u64") + waves.read(offset, "u32").astype(np.uint64) + more
    return np.broadcast_to(at, (waves.count, LANES))


def load(waves: Waves, step: Instruction) -> None:
    space, _, kind = step.name.split("_")
    size = SIZES[kind]
    if space == "buffer":
        at, on = buffer(waves, step)
    else:
        at, on = everywhere(waves, step, *step.operands[1:]), waves.active()
        checked(at, on, min(DWORD, size))
    waves.write_dwords(step.operands[0], gather(waves, at, on, size))


def store(waves: Waves, step: Instruction) -> None:
    space, _, kind = step.name.split("_")
    size = SIZES[kind]
    if space == "buffer":
        at, on = buffer(waves, step)
        data = step.operands[0]
    else:
        offset, data, base = step.operands
        at, on = everywhere(waves, step, offset, base), waves.active()
        checked(at, on, min(DWORD, size))
    assert data.count == max(1, size // DWORD)
    scatter(waves, at, on, size, waves.dwords(data))


def add(waves: Waves, step: Instruction) -> None:
    """global_atomic_add_x2 without a result."""
    offset, data, base = step.operands
    assert "sc0" not in step.modifiers
    at, on = everywhere(waves, step, offset, base), waves.active()
    checked(at, on, 8)
    added = np.broadcast_to(waves.read(data, "u64"), at.shape)
    waves.memory.add(at.reshape(-1), on.reshape(-1), added.reshape(-1))


def local(waves: Waves, step: Instruction) -> None:
    """ds_read, ds_write and the forms with two places, whose offsets count what is moved.

    Raises:
        ValueError: outside of the program's memory, or not at a multiple of the size.
    """
    matched = LOCAL.fullmatch(step.name)
    assert matched
    reads, two, far, bits = matched.groups()
    size = int(bits) // 8
    unit = size * (64 if far else 1)
    names = ("offset0", "offset1") if two else ("offset",)
    assert set(step.modifiers) <= set(names)
    moved = [int(step.modifiers.get(name, "0"), 0) * (unit if two else 1) for name in names]
    on = waves.active()
    base = waves.read(step.operands[1 if reads == "read" else 0], "u32").astype(np.uint64)
    values: list[Array] = []
    for n, offset in enumerate(moved):
        at = np.broadcast_to(base + np.uint64(offset), on.shape)
        checked(at, on, size)
        if (at[on] + np.uint64(size) > waves.local_size).any():
            raise ValueError(f"outside of {waves.local_size} bytes of local memory")
        at = at + waves.local_at
        if reads == "read":
            values += gather(waves, at, on, size)
        else:
            scatter(waves, at, on, size, waves.dwords(step.operands[1 + n]))
    if reads == "read":
        waves.write_dwords(step.operands[0], values)


def nothing(waves: Waves, step: Instruction) -> None:
    """Caches are written back and emptied; there are none."""


ACCESSES: dict[str, Operation] = {
    "global_atomic_add_x2": add,
    "buffer_wbl2": nothing,
    "buffer_inv": nothing,
    "buffer_wbinvl1_vol": nothing,
}
ACCESSES |= {f"s_load_{kind}": load_scalars for kind in SIZES if kind.startswith("dword")}
for space in ("buffer", "global"):
    for kind in ("ubyte", "ushort", "dword", "dwordx2", "dwordx4"):
        ACCESSES[f"{space}_load_{kind}"] = load
    for kind in ("byte", "short", "dword", "dwordx2", "dwordx4"):
        ACCESSES[f"{space}_store_{kind}"] = store
for way in ("read", "write"):
    for bits in (32, 64, 128):
        ACCESSES[f"ds_{way}_b{bits}"] = local
        ACCESSES[f"ds_{way}2_b{bits}"] = local
        ACCESSES[f"ds_{way}2st64_b{bits}"] = local
