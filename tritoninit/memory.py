"""Memory for a model's tensors, and putting it in their place."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tritoninit.dtensor import is_dtensor, local_of, with_local

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
    from tritoninit.recording.targets import adopt

    original, shadow = target.tensor, target.shadow
    assert shadow is not None
    new: Tensor
    if is_dtensor(data) and isinstance(original, nn.Parameter):
        new = nn.Parameter(data, requires_grad=shadow.requires_grad)
    else:
        new = data.requires_grad_(shadow.requires_grad)  # ``adopt`` makes it a parameter
    hooks = {name: getattr(original, name) for name in HOOKS}
    try:
        torch.utils.swap_tensors(original, new)
        kept = original
    except RuntimeError as reason:
        logger.debug("%s is a new object: %s", target.name, reason)
        kept = new
    adopt(kept, shadow)
    for name, registered in hooks.items():
        if registered:
            setattr(kept, name, registered)  # hooks belong to the memory: arm them again
    if kept is original:
        return True
    for module, key in target.slots:
        setattr(module, key, kept)
    return False
