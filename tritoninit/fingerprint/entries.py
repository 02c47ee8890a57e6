"""The tensors that a fingerprint is of: names, ties, and whether their values can be read."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from tritoninit.dtensor import is_dtensor, local_of
from tritoninit.layout import PLAIN_TYPES
from tritoninit.names import canonical_name
from tritoninit.region import Region


def entries_of(model: Tensor | Mapping[str, Tensor] | nn.Module) -> dict[str, Any]:
    """Everything that ``model`` holds, as it names it; a tensor alone has the name "".

    Raises:
        TypeError: ``model`` is none of a tensor, a mapping and a module.
    """
    if isinstance(model, Tensor):
        return {"": model}
    if isinstance(model, nn.Module):
        return dict(model.state_dict(keep_vars=True))
    if isinstance(model, Mapping):
        return dict(model)
    raise TypeError(
        "model must be a tensor, a mapping of names to tensors or a torch.nn.Module, got"
        f" {type(model).__name__}"
    )


def tensors_of(entries: dict[str, Any]) -> dict[str, Tensor]:
    """The tensors by canonical name, each memory once, under its first name.

    Raises:
        TypeError: names that are not strings, values that are not tensors, and tensors whose
            memory does not hold their values element by element.
        ValueError: two names that differ in the wrappers of modules only, a tensor on meta, a
            lazy parameter, or freed memory.
    """
    wrong = [name for name in entries if not isinstance(name, str)]
    if wrong:
        raise TypeError(f"names must be strings, got {wrong}")
    wrong = [f"{n!r} ({type(v).__name__})" for n, v in entries.items() if not isinstance(v, Tensor)]
    if wrong:
        raise TypeError(
            f"a fingerprint is of tensors, but these entries are none: {', '.join(wrong)}; pass a"
            " dict without them"
        )
    named: dict[str, Tensor] = {}
    originals: dict[str, str] = {}
    for original, tensor in entries.items():
        name = canonical_name(original)
        if name in named:
            raise ValueError(f"{originals[name]!r} and {original!r} are both called {name!r}")
        check_readable(original or "the tensor", tensor)
        named[name], originals[name] = tensor, original
    seen: set[Hashable] = set()
    found = {}
    for name, tensor in named.items():
        memory = _memory(tensor)
        if memory not in seen:
            seen.add(memory)
            found[name] = tensor
    return found


def check_readable(name: str, tensor: Tensor) -> None:
    """Raise where the bits of the tensor's elements do not lie in memory."""
    if is_lazy(tensor):
        raise ValueError(f"{name} is lazy and has no shape yet; run the model once")
    local = local_of(tensor) if is_dtensor(tensor) else tensor
    if local.layout is not torch.strided or local.is_nested:
        raise TypeError(f"{name} must have the strided layout, got {local.layout}")
    if local.is_quantized:
        raise TypeError(f"{name} must not be quantized, got dtype {local.dtype}")
    kind = type(local)
    if torch._C._functorch.is_functorch_wrapped_tensor(local) or not (
        kind in PLAIN_TYPES or kind.__torch_dispatch__ is torch._C._disabled_torch_dispatch_impl
    ):
        raise TypeError(
            f"{name} is a {kind.__name__} that wraps other tensors; pass a dict of those instead"
        )
    if local.is_meta:
        raise ValueError(f"{name} is on meta and has no values; materialize it first")
    extent = Region.whole(tuple(local.shape), tuple(local.stride())).extent
    needed = (local.storage_offset() + extent) * local.itemsize
    held = local.untyped_storage().nbytes()
    if extent and held < needed:
        raise ValueError(
            f"{name} of shape {tuple(local.shape)} needs {needed} bytes of storage, which holds"
            f" {held}: its memory was freed or never allocated"
        )


def _memory(tensor: Tensor) -> Hashable:
    """Equal for tensors of the same memory and geometry."""
    placed: Hashable = None
    if is_dtensor(tensor):
        placed = (tuple(tensor.shape), str(tensor.placements))
        tensor = local_of(tensor)
    where = tensor.data_ptr() if tensor.numel() else tensor.untyped_storage()._cdata
    geometry = (tuple(tensor.shape), tensor.stride(), tensor.dtype)
    return (placed, tensor.device, where, geometry, tensor.is_conj(), tensor.is_neg())
