"""Memory for a model's tensors, and putting it in their place."""

from __future__ import annotations

import logging
from copy import copy
from typing import TYPE_CHECKING, Any
from weakref import getweakrefcount

import torch
from torch import Tensor, nn

from tritoninit.dtensor import is_dtensor, local_of, with_local
from tritoninit.layout import PLAIN_TYPES

if TYPE_CHECKING:
    from tritoninit.recording import Target

logger = logging.getLogger("tritoninit")

HOOKS = ("_backward_hooks", "_post_accumulate_grad_hooks")


def allocate(
    tensor: Tensor,
    device: torch.device,
    padded: int | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Memory for a tensor on meta, of a DTensor for this rank's part alone.

    ``padded`` is the size of the flat buffer, in elements, that a DTensor's part begins; what
    lies behind the part is zero.  ``dtype`` is None for the tensor's own.
    """
    if not is_dtensor(tensor):
        dtype = dtype or tensor.dtype
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=dtype, device=device)
    held = local_of(tensor)
    dtype = dtype or held.dtype
    local: Tensor
    if padded is None:
        local = torch.empty_strided(held.shape, held.stride(), dtype=dtype, device=device)
    else:
        buffer = torch.empty(padded, dtype=dtype, device=device)
        buffer[held.numel() :].zero_()
        local = buffer[: held.numel()].view(held.shape)
    return with_local(tensor, local)


def bind(target: Target, data: Tensor) -> bool:
    """Give the target's tensor its memory; False where a new object had to take its place."""
    original, shadow = target.tensor, target.shadow
    assert shadow is not None
    new: Tensor
    if is_dtensor(data) and isinstance(original, nn.Parameter):
        new = nn.Parameter(data, requires_grad=shadow.requires_grad)
    else:
        new = data.requires_grad_(shadow.requires_grad)  # ``adopt`` makes it a parameter
    held: Any = original
    hooks = held._backward_hooks, held._post_accumulate_grad_hooks
    try:
        _swap(original, new)
        kept = original
    except RuntimeError as reason:
        logger.debug("%s is a new object: %s", target.name, reason)
        kept = new
    adopt(kept, shadow)
    for name, registered in zip(HOOKS, hooks, strict=True):
        if registered:
            setattr(kept, name, registered)  # hooks belong to the memory: arm them again
    if kept is original:
        return True
    for module, key in target.slots:
        setattr(module, key, kept)
    return False


def adopt(tensor: Tensor, original: Tensor) -> None:
    """Give a tensor the class (but for DTensors) and the Python attributes of another."""
    if type(tensor) is not type(original) and not (is_dtensor(tensor) or is_dtensor(original)):
        tensor.__class__ = type(original)
    if original.__dict__ or tensor.__dict__:
        tensor.__dict__ = copy(original.__dict__)


def _swap(original: Tensor, new: Tensor) -> None:
    """Exchange the memory of two objects; ``adopt`` has yet to see to the rest.

    Raises:
        RuntimeError: torch's own, where something holds a weak reference to one or a view of it.
    """
    both: tuple[Any, Any] = original, new
    plain = type(original) in PLAIN_TYPES and type(new) in PLAIN_TYPES
    alone = plain and all(t._use_count() == 1 and not getweakrefcount(t) for t in both)
    if alone:
        # What swap_tensors comes to then, but for classes and attributes: a quarter of its time.
        torch._C._swap_tensor_impl(original, new)
    else:
        torch.utils.swap_tensors(original, new)
