"""Initializers that draw nothing: constants, the identity, the Dirac delta."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from operator import index

import torch
from torch import Tensor

from tritoninit.dtensor import is_dtensor, local_of, parts_of
from tritoninit.init.call import (
    Offset,
    checked,
    has_no_memory,
    mark,
    overridable,
    shape_of,
    write,
)
from tritoninit.init.parity import check_pattern_dtype
from tritoninit.layout import check_inference, is_whole
from tritoninit.recipe import Dirac, Eye
from tritoninit.region import Shape


@overridable
def constant_(
    tensor: Tensor,
    val: float,
    *,
    global_shape: Shape | None = None,
    global_offset: Offset = None,
) -> Tensor:
    r"""Fill the tensor with the value :math:`\text{val}`.

    Args:
        tensor: an n-dimensional tensor
        val: the value to fill the tensor with
        global_shape: the shape of the tensor that ``tensor`` is a part of
        global_offset: where the part begins
    """
    held = _held(tensor, global_shape, global_offset)
    if held.requires_grad or isinstance(val, Tensor):
        with torch.no_grad():
            held.fill_(val)
    else:  # where there is no graph, to leave it alone takes as long as the fill
        held.fill_(val)
    return _written(tensor, held)


@overridable
def ones_(
    tensor: Tensor, *, global_shape: Shape | None = None, global_offset: Offset = None
) -> Tensor:
    """Fill the tensor with the scalar value `1`; see :func:`constant_`."""
    constant: Callable[..., Tensor] = inspect.unwrap(constant_)
    return constant(tensor, 1.0, global_shape=global_shape, global_offset=global_offset)


@overridable
def zeros_(
    tensor: Tensor, *, global_shape: Shape | None = None, global_offset: Offset = None
) -> Tensor:
    """Fill the tensor with the scalar value `0`; see :func:`constant_`."""
    held = _held(tensor, global_shape, global_offset)
    if held.requires_grad:
        with torch.no_grad():
            held.zero_()
    else:
        held.zero_()
    return _written(tensor, held)


def _held(tensor: Tensor, global_shape: Shape | None, global_offset: Offset) -> Tensor:
    """What torch's own fill is to write: the tensor, of a DTensor the local part.

    That fill accepts any layout and overlapping memory, so little is checked.
    """
    held = local_of(tensor) if is_dtensor(tensor) else tensor
    check_inference(held)
    if global_shape is not None or global_offset is not None:
        if not has_no_memory(tensor, global_shape, global_offset):
            checked(tensor, global_shape, global_offset)
    elif is_dtensor(tensor):
        parts_of(tensor)
    return held


def _written(tensor: Tensor, held: Tensor) -> Tensor:
    if held is not tensor:
        torch.autograd.graph.increment_version(tensor)
    return tensor


def _write(
    tensor: Tensor, recipe: Eye | Dirac, global_shape: Shape | None, global_offset: Offset
) -> Tensor:
    if has_no_memory(tensor, global_shape, global_offset):
        return tensor
    parts = checked(tensor, global_shape, global_offset)
    check_pattern_dtype(tensor, recipe)
    return write(tensor, recipe, None, parts)


@overridable
def eye_(
    tensor: Tensor, *, global_shape: Shape | None = None, global_offset: Offset = None
) -> Tensor:
    """Fill the 2-dimensional tensor with the identity matrix.

    Args:
        tensor: a 2-dimensional tensor (or a part of one)
        global_shape: the shape of the tensor that ``tensor`` is a part of
        global_offset: where the part begins

    Raises:
        ValueError: the global shape does not have 2 dimensions.
    """
    whole = is_whole(tensor, global_shape, global_offset)
    shape = shape_of(tensor, global_shape, whole)
    if len(shape) != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    if whole and mark(tensor, Eye):
        return tensor
    return _write(tensor, Eye(), global_shape, global_offset)


@overridable
def dirac_(
    tensor: Tensor,
    groups: int = 1,
    *,
    global_shape: Shape | None = None,
    global_offset: Offset = None,
) -> Tensor:
    """Fill the {3, 4, 5}-dimensional tensor with the Dirac delta function.

    Preserves the identity of the inputs in convolutional layers, where as many input channels
    are preserved as possible; with groups > 1, each group of channels preserves identity.

    Args:
        tensor: a {3, 4, 5}-dimensional tensor (or a part of one)
        groups: number of groups in the conv layer
        global_shape: the shape of the tensor that ``tensor`` is a part of
        global_offset: where the part begins

    Raises:
        ValueError: another number of dimensions; groups does not divide dimension 0, or is not
            positive (torch.nn.init divides by zero or writes only zeros).
    """
    whole = is_whole(tensor, global_shape, global_offset)
    shape = shape_of(tensor, global_shape, whole)
    if len(shape) not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    if groups == 0:
        raise ValueError("groups must be a positive integer, got 0")
    if shape[0] % groups != 0:
        raise ValueError("dim 0 must be divisible by groups")
    groups = index(groups)
    if groups < 0:
        raise ValueError(f"groups must be a positive integer, got {groups}")
    if whole and mark(tensor, Dirac, groups):
        return tensor
    return _write(tensor, Dirac(groups), global_shape, global_offset)
