"""Filling GPU memory: one Triton launch for a region (the only user of ``kernels``).

Runs on the tensor's device and its current stream.  With ``TRITON_INTERPRET=1`` the same
kernels run on CPU tensors, which is how they are tested without a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import triton

from tritoninit import sparse
from tritoninit.kernels.fill import fill as fill_kernel
from tritoninit.kernels.sparse import column_thresholds
from tritoninit.recipe import Recipe, Sparse
from tritoninit.region import Axis, Region, Spans
from tritoninit.sampler import DType, Sampler, lower
from tritoninit.stream import Key

BLOCK = 1024  # counters a program: 4,096 elements; 8 counters a thread amortise the addressing
WARPS = 4
REGISTERS = 168  # a thread at most, for 3 programs an SM; left alone, ptxas spills some at 96
GRID = 2**31 - 1  # programs a launch
LIMIT32 = 2**31 - 8 * BLOCK  # positions below this, plus a tile, fit an int32
ROWS, COLUMNS = 128, 16  # the tile of the sparse thresholds


def block_of(kind: str, strided: bool, wide: bool) -> int:
    """Counters a program: fewer where the addresses or the constants need registers."""
    if kind in ("mask", "diagonal"):
        return BLOCK // 8 if wide else BLOCK // 2
    if strided:
        return BLOCK // 4 if wide else BLOCK // 2
    return BLOCK


def fill(
    out: torch.Tensor,
    region: Region,
    shape: tuple[int, ...],
    recipe: Recipe,
    key: Key,
    dtype: DType,
) -> None:
    """Write ``recipe`` into the elements of ``region``; ``out`` begins at the region's first.

    ``out`` is a flat view of the storage in a dtype of 16 or 32 bits.
    """
    if not region.numel:
        return
    sampler = lower(recipe, shape, dtype)
    spans = region.spans()
    with torch.cuda.device_of(out):  # Triton launches on the current device
        _launch(out, spans, key, sampler)
        if isinstance(recipe, Sparse) and sampler.kind == "normal":
            rows, columns = shape
            if zeros := recipe.zeros(rows):
                mask_key = sparse.mask_key(key)
                limits = _thresholds(out, rows, columns, zeros, mask_key)
                mask = Sampler("mask", integers=(1, columns, rows, 0))
                _launch(out, spans, mask_key, mask, limits)


def _thresholds(
    out: torch.Tensor, rows: int, columns: int, zeros: int, key: Key
) -> tuple[torch.Tensor, torch.Tensor]:
    if rows >= 2**32:
        raise ValueError(f"sparse_ supports fewer than 2**32 rows, got {rows}")
    limit = torch.empty(columns, dtype=torch.uint32, device=out.device)
    last = torch.empty_like(limit)
    column_thresholds[(triton.cdiv(columns, COLUMNS),)](
        limit,
        last,
        rows,
        columns,
        zeros,
        key.seed,
        key.offset,
        ROWS=ROWS,
        COLUMNS=COLUMNS,
        num_warps=WARPS,
    )
    return limit, last


def _launch(
    out: torch.Tensor,
    spans: Spans,
    key: Key,
    sampler: Sampler,
    limits: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> None:
    for part, at in _parts(spans):
        _launch_part(out[at:], part, key, sampler, limits)


def _parts(spans: Spans, at: int = 0) -> Iterator[tuple[Spans, int]]:
    """Split what one launch cannot address: more than two row axes or four span axes."""
    first, rows, span, length = spans
    if len(rows) > 2:
        axis, rest = rows[0], rows[1:]
        for i in range(axis.size):
            moved = Spans(first + i * axis.stride, rest, span, length)
            yield from _parts(moved, at + i * axis.local)
    elif len(span) > 4:
        axis, inner = span[0], span[1:]
        step = length // axis.size
        if len(rows) == 2:
            outer = rows[0]
            for i in range(outer.size):
                moved = Spans(first + i * outer.stride, rows[1:], span, length)
                yield from _parts(moved, at + i * outer.local)
        else:
            for i in range(axis.size):
                moved = Spans(first + i * step, rows, inner, step)
                yield from _parts(moved, at + i * axis.local)
    else:
        yield spans, at


def _launch_part(
    out: torch.Tensor,
    spans: Spans,
    key: Key,
    sampler: Sampler,
    limits: tuple[torch.Tensor, torch.Tensor] | None,
) -> None:
    programs, arguments = launch_arguments(out, spans, key, sampler, limits)
    if programs > GRID:
        raise ValueError(f"a launch of {programs} programs exceeds {GRID}; fill it in parts")
    fill_kernel[(programs,)](**arguments)


def launch_arguments(
    out: torch.Tensor,
    spans: Spans,
    key: Key,
    sampler: Sampler,
    limits: tuple[torch.Tensor, torch.Tensor] | None,
) -> tuple[int, dict[str, Any]]:
    """The number of programs, and the arguments of ``kernels.fill.fill``."""
    first, rows, span, length = spans
    itemsize = out.element_size()
    lanes = 4 if itemsize == 4 else 8
    outer, inner = (Axis(1, 0, 0), Axis(1, 0, 0), *rows)[-2:]
    row_count = outer.size * inner.size
    strided = len(span) > 1 or (span[0].local != 1 and length > 1)
    axes = (*(Axis(1, 0, 0),) * 4, *span)[-4:]
    # Every row must begin at the same place of a 16-byte word as its block.
    aligned = (out.data_ptr() - first % lanes * itemsize) % 16 == 0 and all(
        axis.stride % lanes == 0 and axis.local * itemsize % 16 == 0 for axis in rows
    )
    period, channels, group_rows, centre = sampler.integers or (1, 1, 1, 0)
    wide = max(length, period, channels, group_rows) >= LIMIT32
    block = block_of(sampler.kind, strided, wide)
    tiles = triton.cdiv(length + lanes - 1, 4 * block)
    reach = first + sum((axis.size - 1) * axis.stride for axis in rows) + length
    low, high = key.offset + (first // lanes * lanes >> 2), key.offset + (reach >> 2) + block
    limit, last = limits or (out, out)
    arguments: dict[str, Any] = dict(
        out=out,
        first=first,
        length=length,
        seed=key.seed,
        offset=key.offset,
        constants=tuple(float(value) for value in sampler.params),
        period=period,
        channels=channels,
        rows=group_rows,
        centre=centre,
        threshold=limit,
        tie=last,
        tiles=tiles,
        row_size=inner.size,
        row_stride0=outer.stride,
        row_stride1=inner.stride,
        row_local0=outer.local,
        row_local1=inner.local,
        size1=axes[1].size,
        size2=axes[2].size,
        size3=axes[3].size,
        local0=axes[0].local,
        local1=axes[1].local,
        local2=axes[2].local,
        local3=axes[3].local,
        KIND=sampler.kind,
        BLOCK=block,
        ROWS=row_count > 1,
        STRIDED=strided,
        ALIGNED=aligned and not strided,
        WIDE=wide,
        CARRY=low >> 32 != high >> 32,
        num_warps=WARPS,
        enable_fp_fusion=False,
    )
    if torch.version.hip is None:
        arguments["maxnreg"] = REGISTERS
    return row_count * tiles, arguments
