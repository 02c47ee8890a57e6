"""From tensors to regions: where a tensor's elements lie, locally and in the global tensor."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from tritoninit.region import Region, Shape
from tritoninit.sampler import DType

DTYPES = {
    torch.float32: DType.FLOAT32,
    torch.bfloat16: DType.BFLOAT16,
    torch.float16: DType.FLOAT16,
    torch.float64: DType.FLOAT64,
}
OVERLAP = (
    "unsupported operation: more than one element of the written-to tensor refers to a single"
    " memory location. Please clone() the tensor before performing the operation."
)


class Placement(NamedTuple):
    """A region, and the shape of the global tensor, which decides fans, rows and columns."""

    region: Region
    shape: Shape


def check_writable(tensor: Tensor) -> None:
    """Raise where torch's own in-place operations would: overlap, or an unsupported layout."""
    if tensor.layout != torch.strided:
        raise TypeError(f"tensor must have the strided layout, got {tensor.layout}")
    if torch._debug_has_internal_overlap(tensor) == 1:
        raise RuntimeError(OVERLAP)


def place(
    tensor: Tensor, global_shape: Shape | None, global_offset: Shape | int | None
) -> Placement:
    """What of which global tensor a plain tensor holds.

    Args:
        tensor: the local tensor, with any strides.
        global_shape: the global tensor's shape; None means that the tensor is its own.
        global_offset: a tuple, where the tensor's first element lies in the global tensor; or
            an int, the row-major index at which a one-dimensional tensor's run begins.

    Raises:
        ValueError: only one of the two is given, the box leaves the global shape, or a flat run
            is asked for of a tensor that is not one-dimensional.
    """
    sizes, strides = tuple(tensor.shape), tuple(tensor.stride())
    if global_shape is None:
        if global_offset is not None:
            raise ValueError(f"global_offset={global_offset} needs global_shape as well")
        return Placement(Region.whole(sizes, strides), sizes)
    shape = tuple(int(size) for size in global_shape)
    if global_offset is None:
        raise ValueError(f"global_shape={shape} needs global_offset as well")
    if isinstance(global_offset, int):
        if tensor.dim() != 1:
            raise ValueError(
                f"an int global_offset describes a flat run of a one-dimensional tensor, got"
                f" global_offset={global_offset} for a tensor of shape {sizes}"
            )
        numel = 1
        for size in shape:
            numel *= size
        return Placement(Region.flat_run(numel, global_offset, sizes[0], strides[0]), shape)
    return Placement(Region(shape, tuple(int(o) for o in global_offset), sizes, strides), shape)


def storage_view(tensor: Tensor, region: Region) -> Tensor:
    """The flat stretch of storage from the tensor's first element over the region's extent."""
    return tensor.detach().as_strided((region.extent,), (1,))
