"""Filling GPU memory: a Triton launch or two for a region (the only user of ``kernels``).

Runs on the tensor's device and its current stream.  With ``TRITON_INTERPRET=1`` the same
kernels run on CPU tensors, which is how they are tested without a GPU.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import triton

from tritoninit import sparse
from tritoninit.backends.parts import LIMIT, launches
from tritoninit.backends.triton_launch import launch
from tritoninit.kernels.fill import fill as fill_row
from tritoninit.kernels.rows import fill_rows
from tritoninit.kernels.sparse import column_thresholds
from tritoninit.recipe import Recipe, Sparse
from tritoninit.region import Axis, Region, Spans
from tritoninit.sampler import DType, Sampler, lower
from tritoninit.stream import Key

BLOCK = 1024  # counters a program: 4,096 elements (2,048 of float64); 8 counters a thread
# amortise the addressing
WARPS = 4
REGISTERS = 168  # a thread at most, for 3 programs an SM; left alone, ptxas spills some at 96
GRID = 2**31 - 1  # programs a launch
ROWS, COLUMNS = 128, 16  # the tile of the sparse thresholds


def block_of(kind: str, scattered: bool, wide: bool, double: bool = False) -> int:
    """Counters a program: fewer where the addresses or the constants need registers.

    ``scattered`` elements are strided, or lie in rows that are not made of whole words;
    ``double`` ones are float64.
    """
    if kind in ("mask", "diagonal"):
        return BLOCK // 8 if wide else BLOCK // 2
    if scattered:
        return BLOCK // 4 if wide else BLOCK // 2
    return BLOCK // 2 if double and kind in ("tail", "tails") else BLOCK


def fill(
    out: torch.Tensor,
    region: Region,
    shape: tuple[int, ...],
    recipe: Recipe,
    key: Key,
    dtype: DType,
) -> None:
    """Write ``recipe`` into the elements of ``region``; ``out`` begins at the region's first.

    ``out`` is a flat view of the storage.
    """
    if not region.numel:
        return
    sampler = lower(recipe, shape, dtype)
    spans = region.spans()
    with torch.cuda.device_of(out):  # Triton launches on the current device
        _launch(out, spans, key, sampler)
    if isinstance(recipe, Sparse) and sampler.kind == "normal":
        zero([out], region, shape, recipe, key)


def zero(
    outs: list[torch.Tensor], region: Region, shape: tuple[int, ...], recipe: Sparse, key: Key
) -> None:
    """Write the zeros of ``sparse_`` into tensors that hold the same region, see ``fill``."""
    rows, columns = shape
    zeros = recipe.zeros(rows)
    if not (zeros and region.numel):
        return
    spans, mask_key = region.spans(), sparse.mask_key(key)
    mask = Sampler("mask", integers=(1, columns, rows, 0))
    with torch.cuda.device_of(outs[0]):
        needed = sparse.columns_of(region, shape)
        limits = _thresholds(outs[0], rows, columns, needed, zeros, mask_key)
        for out in outs:
            _launch(out, spans, mask_key, mask, limits)


def _thresholds(
    out: torch.Tensor, rows: int, columns: int, needed: tuple[int, int], zeros: int, key: Key
) -> tuple[torch.Tensor, torch.Tensor]:
    if rows >= 2**32:
        raise ValueError(f"sparse_ supports fewer than 2**32 rows, got {rows}")
    limit = torch.empty(columns, dtype=torch.uint32, device=out.device)
    last = torch.empty_like(limit)
    left, end = needed
    arguments = dict(
        threshold=limit,
        tie=last,
        rows=rows,
        columns=columns,
        left=left,
        end=end,
        zeros=zeros,
        seed=key.seed,
        offset=key.offset,
        ROWS=ROWS,
        COLUMNS=COLUMNS,
        num_warps=WARPS,
    )
    launch(column_thresholds, triton.cdiv(end - left, COLUMNS), arguments)
    return limit, last


def _launch(
    out: torch.Tensor,
    spans: Spans,
    key: Key,
    sampler: Sampler,
    limits: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> None:
    for part, at in launches(spans, block_elements(out, sampler)):
        kernel, programs, arguments = launch_arguments(out[at:], part, key, sampler, limits)
        if programs > GRID:
            raise ValueError(f"a launch of {programs} programs exceeds {GRID}; fill it in parts")
        launch(kernel, programs, arguments)


def launch_arguments(
    out: torch.Tensor,
    spans: Spans,
    key: Key,
    sampler: Sampler,
    limits: tuple[torch.Tensor, torch.Tensor] | None,
) -> tuple[Any, int, dict[str, Any]]:
    """The kernel, the number of programs, and the kernel's arguments."""
    first, rows, span, length = spans
    axes = (*(Axis(1, 0, 0),) * 4, *span)[-4:]
    period, channels, group_rows, centre = sampler.integers or (1, 1, 1, 0)
    limit, last = limits or (out, out)
    own = _rows_arguments(out, spans, sampler) if rows else _row_arguments(out, spans, sampler)
    block, lanes = own["BLOCK"], own.pop("lanes")
    reach = first + sum((axis.size - 1) * axis.stride for axis in rows) + length
    each = block_elements(out, sampler)
    low = key.offset + first // lanes * lanes // each
    high = key.offset + reach // each + block
    arguments: dict[str, Any] = dict(
        out=out,
        first=first,
        length=length,
        seed=key.seed,
        offset=key.offset,
        constants=constants_of(sampler, out.dtype == torch.float64),
        period=period,
        channels=channels,
        rows=group_rows,
        centre=centre,
        threshold=limit,
        tie=last,
        size1=axes[1].size,
        size2=axes[2].size,
        size3=axes[3].size,
        local0=axes[0].local,
        local1=axes[1].local,
        local2=axes[2].local,
        local3=axes[3].local,
        KIND=sampler.kind,
        STRIDED=_is_strided(spans),
        CARRY=low >> 32 != high >> 32 or (own["WIDE"] and bool(rows)),
        **compile_options(),
        **own,
    )
    slots = own["slots"] if rows else triton.cdiv(first % lanes + length, lanes)
    return fill_rows if rows else fill_row, triton.cdiv(slots, each * block // lanes), arguments


def compile_options() -> dict[str, Any]:
    """How every kernel that writes samples is compiled: above all, nothing is contracted."""
    options: dict[str, Any] = dict(num_warps=WARPS, enable_fp_fusion=False)
    if torch.version.hip is None:
        options["maxnreg"] = REGISTERS
    return options


def block_elements(out: torch.Tensor, sampler: Sampler) -> int:
    """How many elements of ``out`` take their words from one block of the stream."""
    return 2 if out.dtype == torch.float64 and sampler.kind != "mask" else 4


def constants_of(sampler: Sampler, is_double: bool) -> tuple[float, ...]:
    """The sampler's constants as the kernels take them.

    Triton makes a float float32, so a float64 becomes two integers, its low and its high half.
    They are odd and longer than 32 bits: of one type, and with no property to specialise on, so
    that no value costs a compilation.
    """
    if not is_double:
        return tuple(float(value) for value in sampler.params)
    words = np.array(sampler.params, "<f8").view("<u4").tolist()
    return tuple((1 << 33) + 2 * word + 1 for word in words)


def _is_strided(spans: Spans) -> bool:
    return len(spans.span) > 1 or (spans.span[0].local != 1 and spans.length > 1)


def _row_arguments(out: torch.Tensor, spans: Spans, sampler: Sampler) -> dict[str, Any]:
    """What ``fill`` takes besides: its tiles begin at the block of the row's first element."""
    strided = _is_strided(spans)
    word, itemsize = 16 // out.element_size(), out.element_size()
    aligned = not strided and (out.data_ptr() - spans.first % word * itemsize) % 16 == 0
    wide = max((spans.length, *sampler.integers[:3])) >= LIMIT
    each = block_elements(out, sampler)
    return dict(
        BLOCK=block_of(sampler.kind, strided, wide, out.dtype == torch.float64),
        ALIGNED=aligned,
        WIDE=wide,
        lanes=max(word, each) if aligned else each,
    )


def _rows_arguments(out: torch.Tensor, spans: Spans, sampler: Sampler) -> dict[str, Any]:
    """What ``fill_rows`` takes besides: slots, and how rows lie along up to four axes."""
    first, rows, span, length = spans
    strided = _is_strided(spans)
    each = block_elements(out, sampler)
    word = max(16 // out.element_size(), each)
    aligned = (
        not strided
        and out.data_ptr() % 16 == first % word == length % word == 0
        and all(axis.stride % word == axis.local % word == 0 for axis in rows)
    )
    if aligned:
        lanes, row_slots = word, length // word
    else:  # rows begin at the same element of a block as the first, or modulo ``step``
        step = math.gcd(each, *(axis.stride for axis in rows))
        lanes, row_slots = each, triton.cdiv(length + each - step + first % step, each)
    packed = length
    for axis in reversed(rows):
        packed = packed * axis.size if axis.local == packed else 0
    near = each * BLOCK // lanes // row_slots + 2  # rows that a program reaches
    local = sum((axis.size - 1) * axis.local for axis in span)
    local += sum(min(axis.size - 1, near) * axis.local for axis in rows)
    far = max((0, *sampler.integers[:3]))
    if sampler.integers:
        far += length + sum(min(axis.size - 1, near) * axis.stride for axis in rows)
    wide = max(local, far) >= LIMIT
    axes = (*(Axis(1, 0, 0),) * 4, *rows)[-4:]
    arguments: dict[str, Any] = dict(
        slots=row_slots * math.prod(axis.size for axis in rows),
        BLOCK=block_of(sampler.kind, not aligned, wide, out.dtype == torch.float64),
        AXES=1 if len(rows) == 1 else 4,
        ALIGNED=aligned,
        PACKED=aligned and bool(packed),
        WIDE=wide,
        lanes=lanes,
    )
    for n, axis in enumerate(axes):
        arguments |= {f"row_stride{n}": axis.stride, f"row_local{n}": axis.local}
    sizes = {"1": axes[1].size, "2": axes[2].size, "3": axes[3].size, "": row_slots}
    for name, size in sizes.items():  # see ``kernels.rows.quotient``
        shift = (size - 1).bit_length()
        inverse = -(-(1 << (31 + shift)) // size)
        arguments |= {f"row_inverse{name}": inverse, f"row_shift{name}": shift}
        arguments[f"row_size{name}" if name else "row_slots"] = size
    return arguments
