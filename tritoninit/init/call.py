"""What every initializer does around its fill: dispatch, checks, the key, the write."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from tritoninit.fill import fill
from tritoninit.generator import key_of
from tritoninit.init.parity import check_random_dtype
from tritoninit.layout import Placement, check_writable, place
from tritoninit.recipe import Recipe
from tritoninit.region import Shape
from tritoninit.stream import Key

P = ParamSpec("P")
R = TypeVar("R")
Generator = torch.Generator | Key | None
Offset = Shape | int | None


def overridable(function: Callable[P, R]) -> Callable[P, R]:
    """Hand the call to the tensor's ``__torch_function__`` where it has one."""

    @functools.wraps(function)
    def dispatched(*args: Any, **kwargs: Any) -> Any:
        tensor = args[0] if args else kwargs.get("tensor")
        if has_torch_function_unary(tensor):
            return handle_torch_function(dispatched, (tensor,), *args, **kwargs)
        return function(*args, **kwargs)

    return dispatched


def is_symbolic(tensor: Tensor) -> bool:
    """Meta tensors, and fake ones, have no memory to fill."""
    if tensor.is_meta:
        return True
    if type(tensor) in (Tensor, torch.nn.Parameter):
        return False
    from torch._subclasses.fake_tensor import FakeTensor

    return isinstance(tensor, FakeTensor)


def shape_of(tensor: Tensor, global_shape: Shape | None) -> Shape:
    """The shape that fans, groups and columns are counted on."""
    return tuple(tensor.shape) if global_shape is None else tuple(global_shape)


def checked(tensor: Tensor, global_shape: Shape | None, global_offset: Offset) -> Placement:
    """The tensor's place, after the checks that torch's in-place operations make."""
    check_writable(tensor)
    return place(tensor, global_shape, global_offset)


def write_random(
    tensor: Tensor, recipe: Recipe, generator: Generator, placement: Placement
) -> Tensor:
    """Draw the key, then write; the last step of every random initializer."""
    check_random_dtype(tensor, recipe)
    fill(tensor, recipe, key_of(generator, tensor.device), placement)
    return tensor
