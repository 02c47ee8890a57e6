"""Filling many tensors on a GPU: a launch for each element type and kind of sampler."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import triton.language as tl

from tritoninit.backends.table import GROUP, WORD, Table, block_size, tables
from tritoninit.backends.triton_ import block_of, compile_options, constants_of
from tritoninit.backends.triton_launch import launch
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


Rows = tuple[int, int, int, int]


class _Group(NamedTuple):
    """The runs of one launch, flat, and their samplers and rows by identity, in order."""

    runs: list[int]
    samplers: dict[tuple[int, Rows | None], tuple[int, Sampler, Rows | None]]


class Batch:
    """Fills of contiguous memory on one device: a launch for each element type and kind."""

    def __init__(self) -> None:
        self._groups: dict[tuple[DType | int, str, bool], _Group] = {}

    def add(
        self,
        address: int,
        first: int,
        length: int,
        key: Key,
        sampler: Sampler,
        dtype: DType,
        rows: Rows | None = None,
    ) -> None:
        """Elements [first, first + length) of a global tensor go to ``address``.

        ``sampler`` is a diagonal with sizes below 2**31, or of a kind that draws.  Of a kind
        that draws, the run may hold ``rows`` (``table.rows_of``), at a multiple of 16 bytes.
        """
        self._add(dtype, address, first, length, key.seed, key.offset, sampler, rows)

    def add_constant(self, address: int, length: int, itemsize: int, bits: int) -> None:
        """``length`` elements of ``itemsize`` bytes (1, 2, 4 or 8) with the same bits."""
        self._add(itemsize, address, 0, length, 0, bits, CONSTANT, None)

    def _add(
        self,
        dtype: DType | int,
        address: int,
        first: int,
        length: int,
        seed: int,
        offset: int,
        sampler: Sampler,
        rows: Rows | None,
    ) -> None:
        place = dtype, sampler.kind, rows is not None
        group = self._groups.get(place)
        if group is None:
            group = self._groups[place] = _Group([], {})
        # ``lower`` gives one object for equal recipes; comparing 20 constants takes longer.
        name = id(sampler), rows
        known = group.samplers.get(name)
        if known is None:
            known = group.samplers[name] = len(group.samplers), sampler, rows
        group.runs.extend((address, first, length, seed, offset, known[0]))

    def launch(self, device: torch.device) -> None:
        """Write what was added, on the device's current stream, and begin anew."""
        launches = [
            (dtype, kind, table)
            for (dtype, kind, _), group in self._groups.items()
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
    samplers = [sampler for _, sampler, _ in group.samplers.values()]
    rows = [rows or sampler.integers for _, sampler, rows in group.samplers.values()]
    integers = np.array(rows, dtype=np.int64)
    constants = numbers_of(samplers, dtype)
    if not isinstance(dtype, DType):
        return tables(group.runs, kind, constants, integers, dtype, TILE_BYTES // dtype)
    tile = block_of(kind, False, False) * block_size(dtype.itemsize)
    return tables(group.runs, kind, constants, integers, dtype.itemsize, tile)


def numbers_of(samplers: Sequence[Sampler], dtype: DType | int) -> np.ndarray[Any, Any]:
    """The constants of some samplers of one kind, a row each."""
    is_double = dtype is DType.FLOAT64
    numbers = [constants_of(sampler, is_double) for sampler in samplers]
    return np.array(numbers, dtype=np.int64 if is_double else np.float32)


def launch_arguments(
    sent: Sequence[torch.Tensor], dtype: DType | int, kind: str, table: Table
) -> dict[str, Any]:
    """The kernel's arguments; ``sent`` are the table's arrays on the device."""
    groups, tiles, words, constants = sent
    return dict(
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
        ROWS=table.rows,
        **compile_options(),
    )


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
