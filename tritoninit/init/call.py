"""What every initializer does around its fill: dispatch, checks, the key, the write."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch._C._dynamo.eval_frame import _FrameAction, _FrameExecStrategy, set_code_exec_strategy
from torch.overrides import handle_torch_function, has_torch_function_unary

from tritoninit.dtensor import Part, is_dtensor, local_of, parts_of
from tritoninit.fill import fill, fill_parts
from tritoninit.generator import HOST, key_of
from tritoninit.init.parity import CHECKS, check_random_dtype
from tritoninit.launched import fill_by_launch
from tritoninit.layout import (
    DTYPES,
    PLAIN_TYPES,
    PRE_DISPATCH,
    as_shape,
    bytes_needed,
    check_strided,
    check_writable,
    in_fake_mode,
    is_fake,
    place,
)
from tritoninit.ready import KEPT, Ready, ready
from tritoninit.recipe import Dirac, Eye, Recipe
from tritoninit.region import Shape
from tritoninit.small import fill_at_once
from tritoninit.stream import Key

P = ParamSpec("P")
R = TypeVar("R")
Generator = torch.Generator | Key | None
Offset = Shape | int | None
UNUSED = Key(0)  # for recipes that are not random
_checked: dict[tuple[type[Recipe], tuple[float, ...], torch.dtype], Ready] = {}


def binder(
    function: Callable[..., Any],
) -> Callable[[tuple[Any, ...], dict[str, Any]], dict[str, Any]]:
    """What gives every argument of a call of ``function`` by name, defaults included.

    ``inspect.Signature.bind`` takes ten times as long; it is left the calls that are errors.
    """
    signature = inspect.signature(function)
    parameters = signature.parameters.values()
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    names = frozenset(signature.parameters)
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}

    def bound(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        given = dict(zip(positional, args, strict=False))
        fits = len(args) <= len(positional) and given.keys().isdisjoint(kwargs)
        found = {**defaults, **given, **kwargs}
        if not (fits and found.keys() == names):
            signature.bind(*args, **kwargs)  # raises
        return found

    return bound


def overridable(function: Callable[P, R]) -> Callable[P, R]:
    """Hand the call to the tensor's ``__torch_function__`` where it has one.

    As in torch.nn.init it is given every argument by name, defaults included; of
    ``global_shape`` and ``global_offset`` those that were given.
    """

    bound = binder(function)

    @functools.wraps(function)
    def dispatched(*args: Any, **kwargs: Any) -> Any:
        tensor = args[0] if args else kwargs.get("tensor")
        if has_torch_function_unary(tensor):
            passed = {
                name: value
                for name, value in bound(args, kwargs).items()
                if value is not None or name not in ("global_shape", "global_offset")
            }
            return handle_torch_function(dispatched, (tensor,), **passed)
        if not isinstance(tensor, Tensor) and (args or "tensor" in kwargs):
            raise TypeError(f"tensor must be a torch.Tensor, got {type(tensor).__name__}")
        return function(*args, **kwargs)

    _run_eagerly(dispatched)
    return dispatched


def _run_eagerly(function: Any) -> None:
    """Have torch.compile break its graph at the function and leave its frames alone.

    What ``torch.compiler.disable`` does, without importing ``torch._dynamo`` (about a second).
    """
    function._torchdynamo_disable = True
    function._torchdynamo_disable_msg = "tritoninit.init writes memory that no graph sees"
    skip = _FrameExecStrategy(_FrameAction.SKIP, _FrameAction.SKIP)
    set_code_exec_strategy(function.__code__, skip)


def has_no_memory(tensor: Tensor, global_shape: Shape | None, global_offset: Offset) -> bool:
    """Whether there is nothing to fill: a meta or a fake tensor.

    A part of a larger tensor must lie within it all the same, and a DTensor's local tensor be
    what its placements say.
    """
    check_untraced()
    if not is_symbolic(tensor):
        return False
    if global_shape is not None or global_offset is not None:
        _part(tensor, global_shape, global_offset)
    elif is_dtensor(tensor):
        parts_of(tensor)
    if tensor.is_meta and not tensor.is_inference():
        torch.autograd.graph.increment_version(tensor)  # as any write to it
    return True


def check_untraced() -> None:
    """Raise where a tracer would miss the write, and what it makes would run without it.

    Raises:
        RuntimeError: inside ``make_fx``, ``torch.export`` or ``torch.jit.trace``.
    """
    proxies = torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.PROXY)
    exported = torch._C._dispatch_tls_is_dispatch_key_included(PRE_DISPATCH)
    if exported or proxies is not None or torch._C._is_tracing():
        raise RuntimeError(
            "an initializer cannot be traced (make_fx, torch.export, torch.jit.trace): it writes"
            " memory by no operation of torch, so the traced program would run without it;"
            " initialize before or after tracing"
        )


def is_symbolic(tensor: Tensor) -> bool:
    """Whether the tensor is a meta or a fake one, or taken for one by the FakeTensorMode.

    Raises:
        AssertionError: torch's own, for a real tensor in a mode that takes none.
    """
    if tensor.is_meta:
        return True
    if in_fake_mode():
        tensor = tensor.detach()
    if type(tensor) in PLAIN_TYPES:
        return False
    return is_fake(local_of(tensor) if is_dtensor(tensor) else tensor)


def shape_of(tensor: Tensor, global_shape: Shape | None, whole: bool) -> Shape:
    """The shape that fans, groups and columns are counted on."""
    if whole:
        return tensor.shape
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
        fill(tensor, recipe, key)
    else:
        if is_dtensor(tensor):
            torch.autograd.graph.increment_version(tensor)
        fill_parts(parts, recipe, key)
    return tensor


def checked_recipe(tensor: Tensor, kind: type[Recipe], arguments: tuple[float, ...]) -> Ready:
    """The recipe in the tensor's dtype, once its arguments are checked.

    It is kept where the dtype is one that the kernels write: there what ``CHECKS`` raises
    depends on the arguments and the dtype alone.
    """
    dtype = tensor.dtype
    if kind in CHECKS:
        CHECKS[kind](tensor, *arguments)
    made = ready(kind(*arguments), dtype)
    if dtype in DTYPES:
        if len(_checked) >= KEPT:
            _checked.clear()
        _checked[kind, arguments, dtype] = made
    return made


def mark(tensor: Tensor, kind: type[Eye | Dirac], *arguments: int) -> bool:
    """Write a pattern where ``is_whole``; False where the tensor has to be checked first."""
    made = _checked.get((kind, arguments, tensor.dtype))
    if made is None:
        made = checked_recipe(tensor, kind, arguments)
    if not tensor.is_cpu:
        return fill_by_launch(tensor, made, UNUSED)
    if tensor.dtype not in DTYPES or not tensor.is_contiguous():
        return False
    if bytes_needed(tensor) > tensor.untyped_storage().nbytes():
        return False
    if kind is Eye:
        memory = tensor.detach() if tensor.requires_grad else tensor
        torch.eye(*tensor.shape, out=memory, device=HOST)  # else a default device would be taken
    else:
        fill(tensor, made.recipe, None)
    return True


def draw(
    tensor: Tensor,
    whole: bool,
    generator: Generator,
    global_shape: Shape | None,
    global_offset: Offset,
    kind: type[Recipe],
    *arguments: float,
) -> Tensor:
    """Check the recipe and the tensor, draw the key and write: all of a random initializer.

    ``whole``: see ``is_whole``.
    """
    made = _checked.get((kind, arguments, tensor.dtype))
    if made is None:
        made = checked_recipe(tensor, kind, arguments)
    if whole:
        short = fill_at_once if tensor.is_cpu else fill_by_launch
        if short(tensor, made, generator):
            return tensor
    if has_no_memory(tensor, global_shape, global_offset):
        return tensor
    parts = checked(tensor, global_shape, global_offset)
    check_random_dtype(tensor, made.recipe)
    return write(tensor, made.recipe, key_of(generator, tensor.device), parts)
