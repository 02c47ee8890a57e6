"""What every initializer does around its fill: dispatch, checks, the key, the write."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from tritoninit.dtensor import Part, is_dtensor, local_of, parts_of
from tritoninit.fill import fill, fill_parts
from tritoninit.generator import key_of
from tritoninit.init.parity import check_random_dtype
from tritoninit.launched import fill_by_launch
from tritoninit.layout import PLAIN_TYPES, as_shape, check_strided, check_writable, place
from tritoninit.recipe import Recipe
from tritoninit.region import Shape
from tritoninit.small import fill_at_once
from tritoninit.stream import Key

P = ParamSpec("P")
R = TypeVar("R")
Generator = torch.Generator | Key | None
Offset = Shape | int | None
UNUSED = Key(0)  # for recipes that are not random


def overridable(function: Callable[P, R]) -> Callable[P, R]:
    """Hand the call to the tensor's ``__torch_function__`` where it has one.

    As in torch.nn.init it is given every argument by name, defaults included; of
    ``global_shape`` and ``global_offset`` those that were given.
    """

    signature = inspect.signature(function)

    @functools.wraps(function)
    def dispatched(*args: Any, **kwargs: Any) -> Any:
        tensor = args[0] if args else kwargs.get("tensor")
        if has_torch_function_unary(tensor):
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            passed = {
                name: value
                for name, value in bound.arguments.items()
                if value is not None or name not in ("global_shape", "global_offset")
            }
            return handle_torch_function(dispatched, (tensor,), **passed)
        if not isinstance(tensor, Tensor) and (args or "tensor" in kwargs):
            raise TypeError(f"tensor must be a torch.Tensor, got {type(tensor).__name__}")
        return function(*args, **kwargs)

    return dispatched


def has_no_memory(tensor: Tensor, global_shape: Shape | None, global_offset: Offset) -> bool:
    """Whether there is nothing to fill: a meta or a fake tensor.

    A part of a larger tensor must lie within it all the same, and a DTensor's local tensor be
    what its placements say.
    """
    if not is_symbolic(tensor):
        return False
    if global_shape is not None or global_offset is not None:
        _part(tensor, global_shape, global_offset)
    elif is_dtensor(tensor):
        parts_of(tensor)
    return True


def is_symbolic(tensor: Tensor) -> bool:
    """Whether the tensor is a meta or a fake one."""
    if tensor.is_meta:
        return True
    if type(tensor) in PLAIN_TYPES:
        return False
    from torch._subclasses.fake_tensor import FakeTensor

    return isinstance(local_of(tensor) if is_dtensor(tensor) else tensor, FakeTensor)


def shape_of(tensor: Tensor, global_shape: Shape | None) -> Shape:
    """The shape that fans, groups and columns are counted on."""
    if global_shape is not None:
        return as_shape("global_shape", global_shape)
    if not (is_symbolic(tensor) or is_dtensor(tensor)):
        check_strided(tensor)
    return tuple(tensor.shape)


def checked(tensor: Tensor, global_shape: Shape | None, global_offset: Offset) -> list[Part] | None:
    """The parts of a global tensor that this one holds (None: it is whole and plain).

    Makes the checks that torch itself makes.
    """
    if is_dtensor(tensor):
        check_writable(local_of(tensor))
        if global_shape is None and global_offset is None:
            return parts_of(tensor)
    else:
        check_writable(tensor)
        if global_shape is None and global_offset is None:
            return None
    return [_part(tensor, global_shape, global_offset)]


def _part(tensor: Tensor, global_shape: Shape | None, global_offset: Offset) -> Part:
    if is_dtensor(tensor):
        raise ValueError(
            "a DTensor knows its place in the global tensor; global_shape and global_offset are"
            f" for plain tensors, got global_shape={global_shape}, global_offset={global_offset}"
        )
    return Part(tensor, place(tensor, global_shape, global_offset))


def write(tensor: Tensor, recipe: Recipe, key: Key | None, parts: list[Part] | None) -> Tensor:
    """Write into the whole tensor or into the parts that it holds."""
    if parts is None:
        if tensor.is_cpu or not fill_by_launch(tensor, recipe, key or UNUSED):
            fill(tensor, recipe, key)
    else:
        fill_parts(parts, recipe, key)
        if is_dtensor(tensor):
            torch.autograd.graph.increment_version(tensor)
    return tensor


def draw(
    tensor: Tensor,
    recipe: Recipe,
    generator: Generator,
    global_shape: Shape | None,
    global_offset: Offset,
) -> Tensor:
    """Check the tensor, then draw the key and write; the last step of every random initializer."""
    whole = global_shape is None and global_offset is None
    if whole and (
        fill_at_once(tensor, recipe, generator) or fill_by_launch(tensor, recipe, generator)
    ):
        return tensor
    if has_no_memory(tensor, global_shape, global_offset):
        return tensor
    parts = checked(tensor, global_shape, global_offset)
    check_random_dtype(tensor, recipe)
    return write(tensor, recipe, key_of(generator, tensor.device), parts)
