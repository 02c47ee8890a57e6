"""The digest of GPU memory: one Triton launch a region, summed on the device.

As in ``triton_.py``, the kernel runs on the tensor's device and its current stream, or with
``TRITON_INTERPRET=1`` on CPU tensors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
import triton

from tritoninit.backends.triton_launch import launch
from tritoninit.kernels.digest import digest as digest_kernel
from tritoninit.region import Axis, Region

WARPS = 4
ALIGNMENT = 16  # bytes
AXES = 4  # that a launch decodes
MOST_SIZE = 2**30  # of an axis that is decoded in 32 bits
ONE = Axis(1, 0, 0)


def block_of(axes: int) -> int:
    """Elements a program: 16 a thread, or 8 where the addresses need registers.

    Compiled for sm_90, an element takes 74 instructions where memory is contiguous, 104 along
    two axes and 156 along four.
    """
    return 2048 if axes <= 2 else 1024


def digest(data: torch.Tensor, region: Region, key: int, table: torch.Tensor, entry: int) -> None:
    """Add the shares of the region's elements to ``table[entry]``, without waiting for them.

    ``data`` is the flat storage from the region's first element on, as unsigned integers of the
    elements' size; ``table`` [entries, 2] is an int64 tensor on the same device.
    """
    if not region.numel:
        return
    first, axes = region.axes()
    with torch.cuda.device_of(data):  # Triton launches on the current device
        for start, place, part in _parts(first, 0, axes):
            programs, arguments = launch_arguments(data[place:], start, part, key, table, entry)
            launch(digest_kernel, programs, arguments)


def _parts(
    first: int, place: int, axes: tuple[Axis, ...]
) -> Iterator[tuple[int, int, tuple[Axis, ...]]]:
    """(global index, place, axes) of what one launch each can address."""
    contiguous = not axes or (len(axes) == 1 and axes[0].stride == axes[0].local == 1)
    large = next((axis for axis in axes if axis.size >= MOST_SIZE), None)
    if contiguous or (len(axes) <= AXES and large is None):
        yield first, place, axes
    elif large is not None:
        at = axes.index(large)
        for low in range(0, large.size, MOST_SIZE // 2):
            piece = large._replace(size=min(MOST_SIZE // 2, large.size - low))
            moved = (*axes[:at], piece, *axes[at + 1 :])
            yield from _parts(first + low * large.stride, place + low * large.local, moved)
    else:
        fewest = min(axes, key=lambda axis: axis.size)
        rest = tuple(axis for axis in axes if axis is not fewest)
        for i in range(fewest.size):
            yield from _parts(first + i * fewest.stride, place + i * fewest.local, rest)


def launch_arguments(
    data: torch.Tensor,
    first: int,
    axes: tuple[Axis, ...],
    key: int,
    table: torch.Tensor,
    entry: int,
) -> tuple[int, dict[str, Any]]:
    """The number of programs, and the arguments of ``kernels.digest.digest``."""
    itemsize = data.element_size()
    length = math.prod(axis.size for axis in axes)
    contiguous = not axes or (len(axes) == 1 and axes[0].stride == axes[0].local == 1)
    skew = data.data_ptr() % ALIGNMENT // itemsize if contiguous else 0
    count = 1 if contiguous else max(2, len(axes))
    block = block_of(count)
    axis0, axis1, axis2, axis3 = ((ONE,) * AXES + axes)[-AXES:]
    return triton.cdiv(length + skew, block), dict(
        table=table,
        data=data,
        entry=entry,
        first=first,
        length=length,
        skew=skew,
        key=key,
        size1=axis1.size,
        size2=axis2.size,
        size3=axis3.size,
        step0=axis0.stride,
        step1=axis1.stride,
        step2=axis2.stride,
        step3=axis3.stride,
        local0=axis0.local,
        local1=axis1.local,
        local2=axis2.local,
        local3=axis3.local,
        AXES=count,
        BLOCK=block,
        num_warps=WARPS,
        enable_fp_fusion=False,
    )
