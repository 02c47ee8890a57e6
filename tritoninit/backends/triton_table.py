"""Filling many tensors on a GPU: a launch for each element type and kind of sampler."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import triton.language as tl

from tritoninit.backends.table import GROUP, WORD, Table, tables
from tritoninit.backends.triton_ import REGISTERS, WARPS, block_of
from tritoninit.backends.triton_launch import launch
from tritoninit.kernels.sampling64 import halves
from tritoninit.kernels.table import fill_table
from tritoninit.sampler import DType, Sampler
from tritoninit.stream import Key

TILE_BYTES = 1 << 14  # of constants, a program: eight 16-byte stores a thread
CONSTANT = Sampler("constant")
TYPES: dict[DType | int, Any] = {
    DType.FLOAT32: tl.float32,
    DType.BFLOAT16: tl.bfloat16,
    DType.FLOAT16: tl.float16,
    DType.FLOAT64: tl.float64,
    1: tl.uint8,
    2: tl.uint16,
    4: tl.uint32,
    8: tl.uint64,
}


class _Group(NamedTuple):
    """The runs of one element type and kind, flat, and their samplers by identity, in order."""

    runs: list[int]
    samplers: dict[int, tuple[int, Sampler]]


class Batch:
    """Fills of contiguous memory on one device: a launch for each element type and kind."""

    def __init__(self) -> None:
        self._groups: dict[tuple[DType | int, str], _Group] = {}

    def add(
        self, address: int, first: int, length: int, key: Key, sampler: Sampler, dtype: DType
    ) -> None:
        """Elements [first, first + length) of a global tensor go to ``address``.

        ``sampler`` is a diagonal with sizes below 2**31, or of a kind that draws.
        """
        self._add(dtype, address, first, length, key.seed, key.offset, sampler)

    def add_constant(self, address: int, length: int, itemsize: int, bits: int) -> None:
        """``length`` elements of ``itemsize`` bytes (1, 2, 4 or 8) with the same bits."""
        self._add(itemsize, address, 0, length, 0, bits, CONSTANT)

    def _add(
        self,
        dtype: DType | int,
        address: int,
        first: int,
        length: int,
        seed: int,
        offset: int,
        sampler: Sampler,
    ) -> None:
        group = self._groups.get((dtype, sampler.kind))
        if group is None:
            group = self._groups[dtype, sampler.kind] = _Group([], {})
        # ``lower`` gives one object for equal recipes; comparing 20 constants takes longer.
        known = group.samplers.setdefault(id(sampler), (len(group.samplers), sampler))
        group.runs.extend((address, first, length, seed, offset, known[0]))

    def launch(self, device: torch.device) -> None:
        """Write what was added, on the device's current stream, and begin anew."""
        launches = [
            (dtype, kind, table)
            for (dtype, kind), group in self._groups.items()
            for table in _tables(dtype, kind, group)
        ]
        self._groups = {}
        if not launches:
            return
        with torch.cuda.device_of(torch.empty(0, device=device)):
            sent = upload([array for *_, table in launches for array in table.arrays], device)
            for at, (dtype, kind, table) in enumerate(launches):
                arguments = launch_arguments(sent[4 * at : 4 * at + 4], dtype, kind, table)
                launch(fill_table, table.programs, arguments)


def _tables(dtype: DType | int, kind: str, group: _Group) -> Iterator[Table]:
    samplers = [sampler for _, sampler in group.samplers.values()]
    constants = constants_of(samplers, dtype)
    if not isinstance(dtype, DType):
        return tables(group.runs, kind, constants, dtype, TILE_BYTES // dtype)
    tile = block_of(kind, False, False) * (2 if dtype.is_double else 4)
    return tables(group.runs, kind, constants, dtype.itemsize, tile)


def constants_of(samplers: Sequence[Sampler], dtype: DType | int) -> np.ndarray[Any, Any]:
    """A row of numbers for each of some samplers of one kind."""
    if samplers[0].kind == "diagonal":
        return np.array([sampler.integers for sampler in samplers], dtype=np.int64)
    if dtype is DType.FLOAT64:
        numbers = [halves([float(value) for value in sampler.params]) for sampler in samplers]
        return np.array(numbers, dtype=np.int64)
    return np.array([sampler.params for sampler in samplers], dtype=np.float32)


def launch_arguments(
    sent: Sequence[torch.Tensor], dtype: DType | int, kind: str, table: Table
) -> dict[str, Any]:
    """The kernel's arguments; ``sent`` are the table's arrays on the device."""
    groups, tiles, words, constants = sent
    arguments = dict(
        groups=groups,
        tiles=tiles,
        words=words,
        constants=constants,
        DTYPE=TYPES[dtype],
        KIND=kind,
        WORDS=words.shape[1],
        COUNT=constants.shape[1],
        TILE=table.tile,
        GROUP=GROUP,
        ALIGNED=table.aligned,
        num_warps=WARPS,
        enable_fp_fusion=False,
    )
    if torch.version.hip is None:
        arguments["maxnreg"] = REGISTERS
    return arguments


def upload(arrays: Sequence[np.ndarray[Any, Any]], device: torch.device) -> list[torch.Tensor]:
    """The arrays on the device, in one allocation and one copy that nothing waits for."""
    begins = [0]
    for array in arrays:
        begins.append(begins[-1] + -(-array.nbytes // WORD) * WORD)
    on_gpu = device.type == "cuda"
    host = torch.empty(begins[-1], dtype=torch.uint8, device="cpu", pin_memory=on_gpu)
    held = host.numpy()
    for at, array in zip(begins, arrays, strict=False):
        held[at : at + array.nbytes] = array.reshape(-1).view(np.uint8)
    sent = host.to(device, non_blocking=True)
    views = []
    for at, array in zip(begins, arrays, strict=False):
        dtype = getattr(torch, array.dtype.name)
        views.append(sent[at : at + array.nbytes].view(dtype).view(array.shape))
    return views
