"""The state of all waves of a launch: registers, local memory, and which lanes are on."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.amd.program import Operand, Program
from tests.machine.memory import Array, Memory

LANES = 64  # of a wave
VCC, EXEC = 106, 126  # scalar registers
SGPRS = 128
SUBNORMALS = {0: (True, True), 1: (True, False), 2: (False, True), 3: (False, False)}
UNSIGNED = {16: np.uint16, 32: np.uint32, 64: np.uint64}


@cache
def dtype_of(kind: str) -> np.dtype[Any]:
    """Of ``u32`` and its like."""
    return np.dtype(f"{kind[0]}{int(kind[1:]) // 8}")


@cache
def number(text: str, kind: str) -> Array:
    """A constant in an instruction, as ``kind``.

    Decimals are integers or floating-point numbers of the operand's width, whatever it means;
    0x begins the 32 bits of a literal, of a float64 the upper ones.

    Raises:
        ValueError: a literal of a 64-bit integer of which its sign would have to be known.
    """
    width = int(kind[1:])
    if "." in text:
        return np.array([[float(text)]], f"f{width // 8}").view(dtype_of(kind))
    bits = int(text, 0)
    if text.startswith("0x") and width == 64:
        if kind[0] == "f":
            bits <<= 32
        elif bits >> 31:
            raise ValueError(f"{text} may be extended by its sign or not")
    return np.array([[bits % 2**width]], UNSIGNED[width]).view(dtype_of(kind))


class Waves:
    """The waves of some programs next to each other, 64 lanes each.

    Values of lanes are arrays [waves, 64], of waves [waves, 1].  ``group`` says which waves an
    instruction is for (None: all), ``on`` which lanes; registers begin as noise, so that what is
    used before it is written shows.
    """

    def __init__(self, program: Program, programs: int, memory: Memory, shared: int) -> None:
        self.memory = memory
        self.count = programs * program.threads // LANES
        noise = np.random.default_rng(len(program.code))
        vgprs = program.descriptor["next_free_vgpr"]
        self._v = noise.integers(0, 2**32, (vgprs, self.count, LANES), np.uint32)
        self._s = noise.integers(0, 2**32, (SGPRS, self.count, 1), np.uint32)
        self.scc = noise.integers(0, 2, (self.count, 1), np.uint8).view(bool)
        self._local = noise.integers(0, 256, (programs, shared), np.uint8)
        each = program.threads // LANES
        place = self._local.ctypes.data + np.arange(self.count) // each * shared
        self.local_at = place.astype(np.uint64).reshape(-1, 1)
        self.local_size = shared
        inputs32, outputs32 = SUBNORMALS[program.descriptor["float_denorm_mode_32"]]
        inputs64, outputs64 = SUBNORMALS[program.descriptor["float_denorm_mode_16_64"]]
        self._flushed_inputs = {"f32": inputs32, "f16": inputs64, "f64": inputs64}
        self._flushed_outputs = {"f32": outputs32, "f16": outputs64, "f64": outputs64}
        self.group: Array | None = None
        self.on: Array | None = None
        self._s[EXEC : EXEC + 2] = 2**32 - 1

    def choose(self, group: Array | None) -> None:
        """The next instructions are for these waves."""
        self.group = group
        self._see_exec()

    def _see_exec(self) -> None:
        if self.group is None and (self._s[EXEC : EXEC + 2] == 2**32 - 1).all():
            self.on = None
            return
        self.on = self.bits(EXEC)
        if self.group is not None:
            self.on &= self.group

    def active(self) -> npt.NDArray[np.bool_]:
        """``on`` as an array."""
        return np.ones((self.count, LANES), bool) if self.on is None else self.on

    def any(self, flags: Array) -> bool:
        """Whether a flag of a wave in the group is set."""
        return bool(flags.any() if self.group is None else (flags & self.group).any())

    def bits(self, first: int) -> Array:
        """Two scalar registers as a flag a lane."""
        words = np.ascontiguousarray(self._s[first : first + 2, :, 0].T)
        return np.unpackbits(words.view(np.uint8), axis=1, bitorder="little").view(bool)

    def read(self, operand: Operand, kind: str) -> Array:
        """Registers or a number, as ``kind``: a value a lane, a wave, or for all."""
        if operand.kind == "number":
            return number(operand.text, kind)
        file = self._v if operand.kind == "v" else self._s
        width = int(kind[1:])
        assert operand.kind in "vs"
        assert operand.count == max(1, width // 32)
        if width == 64:
            pair = np.moveaxis(file[operand.first : operand.first + 2], 0, -1)
            value = np.ascontiguousarray(pair).view(np.uint64)[..., 0]
        else:
            value = file[operand.first]
            if width == 16:
                value = value.astype(np.uint16)
        if operand.absolute or operand.negated:
            sign = value.dtype.type(1 << (width - 1))
            value = value & ~sign if operand.absolute else value
            value = value ^ sign if operand.negated else value
        value = value.view(dtype_of(kind))
        if self._flushed_inputs.get(kind):
            value = flushed(value)
        return value

    def write(self, operand: Operand, value: Any, kind: str) -> None:
        """Into vector registers of the lanes that are on."""
        assert operand.kind == "v"
        value = np.asarray(value).astype(dtype_of(kind), copy=False)
        if self._flushed_outputs.get(kind):
            value = flushed(value)
        width = int(kind[1:])
        assert operand.count == max(1, width // 32)
        bits = value.view(UNSIGNED[width])
        if width == 64:
            pairs = np.ascontiguousarray(bits)[..., None].view(np.uint32)
            self._put(operand.first, pairs[..., 0])
            self._put(operand.first + 1, pairs[..., 1])
        else:
            self._put(operand.first, bits)

    def _put(self, register: int, bits: Array) -> None:
        if self.on is None:
            self._v[register] = bits
        else:
            np.copyto(self._v[register], bits, where=self.on)

    def dwords(self, operand: Operand) -> list[Array]:
        """The registers one by one."""
        file = self._v if operand.kind == "v" else self._s
        return list(file[operand.first : operand.first + operand.count])

    def write_dwords(self, operand: Operand, values: list[Array]) -> None:
        assert operand.kind == "v"
        assert operand.count == len(values)
        for n, bits in enumerate(values):
            self._put(operand.first + n, bits)

    def write_scalar(self, operand: Operand, value: Any, kind: str) -> None:
        """Into scalar registers of the waves that are in the group."""
        assert operand.kind == "s"
        value = np.asarray(value).astype(dtype_of(kind), copy=False)
        width = int(kind[1:])
        assert operand.count == width // 32
        bits = np.ascontiguousarray(value.view(UNSIGNED[width])).reshape(-1, 1)
        for n, words in enumerate(np.moveaxis(bits.view(np.uint32), -1, 0)):
            self.set_scalar(operand.first + n, words[:, None])

    def set_scalar(self, register: int, words: Array) -> None:
        if self.group is None:
            self._s[register] = words
        else:
            np.copyto(self._s[register], words, where=self.group)
        if register in (EXEC, EXEC + 1):
            self._see_exec()

    def scalar(self, register: int) -> Array:
        return self._s[register]

    def set_vector(self, register: int, bits: Array) -> None:
        self._v[register] = bits

    def write_flags(self, operand: Operand, flags: Array) -> None:
        """A flag a lane into two scalar registers; of lanes that are off it is 0."""
        flags = np.broadcast_to(flags, (self.count, LANES))
        if self.on is not None:
            flags = flags & self.on
        words = np.packbits(flags, axis=1, bitorder="little").view(np.uint64)
        self.write_scalar(operand, words, "u64")

    def write_scc(self, flags: Array) -> None:
        where = True if self.group is None else self.group
        np.copyto(self.scc, flags, where=where)

    def write_lane(self, operand: Operand, lane: int, words: Array) -> None:
        """Into one lane of a vector register, on or not."""
        where = True if self.group is None else self.group[:, 0]
        np.copyto(self._v[operand.first][:, lane], words[:, 0], where=where)


def flushed(value: Array) -> Array:
    """0 of the same sign in the place of what is subnormal."""
    tiny = np.finfo(value.dtype).tiny
    return np.where(np.abs(value) < tiny, np.copysign(value.dtype.type(0), value), value)
