"""The state of all lanes of a launch: registers, parameters, memory, and which lanes are on."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.machine.memory import Array, Memory
from tests.ptx.program import Program, address

KINDS = {"b": "u", "u": "u", "s": "i", "f": "f"}
WARP = 32
APPROXIMATION = 2.0**-22.9  # the largest relative error of rsqrt.approx.f32 (PTX ISA, 9.7.3)


@cache
def width_of(kind: str) -> int:
    """Bits of ``u32`` and its like."""
    return int(kind[1:])


@cache
def dtype_of(kind: str) -> np.dtype[Any]:
    return np.dtype(f"{KINDS[kind[0]]}{width_of(kind) // 8}")


class Lanes:
    """One lane a thread, the threads of a program next to each other.

    ``on`` says which lanes an instruction is for.  Registers begin as noise, so that what is
    used before it is written shows.
    """

    def __init__(
        self,
        program: Program,
        first: int,
        programs: int,
        parameters: dict[str, bytes],
        memory: Memory,
        shared: int,
        rsqrt: str,
    ) -> None:
        self.memory = memory
        self.count = programs * program.threads
        self._parameters = parameters
        self._rsqrt = rsqrt
        noise = np.random.default_rng(program.threads)
        self._registers: dict[str, Array] = {}
        for width in (1, 16, 32, 64):
            names = [name for name, bits in program.registers.items() if bits == width]
            size = (len(names), self.count)
            held = (
                noise.integers(0, 2, size, np.uint8).view(bool)
                if width == 1
                else noise.integers(0, 2**width, size, f"u{width // 8}")
            )
            self._registers |= dict(zip(names, held, strict=True))
        lane = np.arange(self.count)
        self._special = {
            "%tid.x": (lane % program.threads).astype(np.uint32),
            "%ctaid.x": (first + lane // program.threads).astype(np.uint32),
            "global_smem": np.uint32(0),
        }
        self._shared = noise.integers(0, 256, (programs, shared), np.uint8)
        base = self._shared.ctypes.data
        self._shared_at = (base + lane // program.threads * shared).astype(np.uint64)
        self._shared_size = shared
        self.on = np.ones(self.count, bool)

    def whole_warps(self) -> bool:
        """Whether of every warp all lanes or none are on."""
        on = self.on.reshape(-1, WARP)
        return bool((on.any(axis=1) == on.all(axis=1)).all())

    def read(self, operand: str, kind: str) -> Array:
        """A register, a special one or a number, as ``kind``."""
        if kind == "pred":
            return self._registers[operand]
        dtype = dtype_of(kind)
        if operand in self._special:
            bits = np.asarray(self._special[operand])
        elif operand.startswith("%"):
            bits = self._registers[operand]
        else:
            return np.array(_number(operand, width_of(kind)), f"u{dtype.itemsize}").view(dtype)
        if bits.dtype.itemsize != dtype.itemsize:
            bits = bits.astype(f"u{dtype.itemsize}")
        return bits.view(dtype)

    def write(self, operand: str, value: Any, kind: str) -> None:
        """Into the lanes that are on; a wider register takes the sign of a signed type."""
        if operand == "_":
            return
        register = self._registers[operand]
        value = np.asarray(value)
        if kind != "pred":
            value = value.astype(dtype_of(kind), copy=False)
            if value.dtype.itemsize != register.dtype.itemsize:
                assert kind[0] != "f"
                value = value.astype(f"{value.dtype.kind}{register.dtype.itemsize}")
            value = value.view(register.dtype)
        np.copyto(register, value, where=self.on)

    def parameter(self, name: str, kind: str) -> Array:
        bits = int.from_bytes(self._parameters[name], "little")
        return np.array(bits, f"u{width_of(kind) // 8}").view(dtype_of(kind))

    def address(self, operand: str, space: str, size: int) -> npt.NDArray[np.uint64]:
        """Where each lane's bytes lie.

        Raises:
            ValueError: not at a multiple of their size, or outside shared memory.
        """
        base, offset = address(operand)
        kind = "u32" if space == "shared" else "u64"
        at = np.broadcast_to(self.read(base, kind), self.count).astype(np.uint64)
        at = at + np.int64(offset).view(np.uint64)
        if (at[self.on] % np.uint64(size)).any():
            raise ValueError(f"{size} bytes at {operand} are not aligned")
        if space == "shared":
            if (at[self.on] + np.uint64(size) > self._shared_size).any():
                raise ValueError(f"{operand} is outside the {self._shared_size} shared bytes")
            at = at + self._shared_at
        return at

    def reciprocal_root(self, x: Array) -> npt.NDArray[np.float32]:
        """1 / sqrt(x) with the error that PTX allows: the least, the largest, or any."""
        exact = 1 / np.sqrt(x.astype(np.float64))
        step = np.spacing(exact.astype(np.float32)).astype(np.float64)
        reach = {"nearest": 0.0, "low": -1.0, "high": 1.0}.get(self._rsqrt)
        if reach is None:
            noise = np.random.default_rng(int(x.view(np.uint32).sum(dtype=np.uint64)))
            reach = noise.uniform(-1, 1, x.shape)
        near = (exact * (1 + reach * APPROXIMATION)).astype(np.float32)
        wrong = np.abs(near - exact) > exact * APPROXIMATION
        return np.where(wrong, near - np.sign(near - exact) * step, near).astype(np.float32)


def _number(text: str, bits: int) -> int:
    """0f and 0d are the bits of a number; anything else an integer, modulo 2**bits."""
    if text[:2] in ("0f", "0d"):
        return int(text[2:], 16)
    return int(text.rstrip("U"), 0) % 2**bits
