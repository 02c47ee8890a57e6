"""The tensors of a model, each once, under the name that the model gives it first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from tritoninit.dtensor import is_dtensor, local_of, sharding_of
from tritoninit.layout import PLAIN_TYPES, is_fake
from tritoninit.memory import adopt
from tritoninit.names import canonical_name
from tritoninit.plan import View
from tritoninit.recipe import Recipe
from tritoninit.recording.trace import view_at

COMPRESSED = (torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc)
META = torch.device("meta")
TABLES = {"parameter": "_parameters", "buffer": "_buffers"}


class RecordError(RuntimeError):
    """A tensor whose initial values cannot be known from what init code did."""


class Slot(NamedTuple):
    """Where a module holds a tensor."""

    module: nn.Module
    key: str


class Written(NamedTuple):
    """A write that decides values: what, where, and the code that asked for it.

    ``value`` is a :class:`tritoninit.recording.trace.Ref` where the values are computed, and
    ``event`` the write that a draw comes from.
    """

    recipe: Recipe | None
    view: View
    event: Any
    origin: str
    value: Any = None


@dataclass(eq=False, slots=True)
class Target:
    """One parameter or buffer, and what init code does to it.

    ``shadow`` stands in the place of a tensor on meta; None means that the tensor has values
    already, which stay.  ``stale`` is set once init code would have changed such values,
    ``outdated`` where something wrote to the tensor after its constructor's record ended.
    ``skipped`` tensors stay on meta.  Where a cast was asked for, the shadow is of dtype
    ``working``, and the values are rounded to ``rounded``.  ``memory`` is the shadow's, and
    ``own`` that of the tensor itself, where writes to it are not writes to the shadow.
    """

    names: tuple[str, ...]
    kind: str
    tensor: Tensor
    slots: list[Slot]
    shadow: Tensor | None = None
    writes: Sequence[Written] = ()
    stale: bool = False
    outdated: bool = False
    skipped: bool = False
    rounded: torch.dtype | None = None
    working: torch.dtype | None = None
    memory: Any = None
    own: Any = None
    _whole: View | None = None

    def cast(self, dtype: torch.dtype, working: torch.dtype) -> None:
        """Ask for another dtype, of floating-point numbers on meta."""
        if self.tensor.is_meta and self.tensor.is_floating_point():
            self.rounded, self.working = dtype, working

    @property
    def dtype(self) -> torch.dtype:
        """What the tensor will have."""
        return self.rounded or self.tensor.dtype

    @property
    def name(self) -> str:
        """The first name."""
        return self.names[0]

    @property
    def owner(self) -> str:
        """The class of the module that holds it first."""
        return type(self.slots[0].module).__name__

    @property
    def is_special(self) -> bool:
        """Whether more than its last write decides what becomes of it."""
        return self.skipped or self.outdated or self.own is not None

    @property
    def is_sharded(self) -> bool:
        """Whether it is a DTensor."""
        return is_dtensor(self.tensor)

    @property
    def whole(self) -> View:
        """The tensor as a view of its own memory."""
        if self._whole is None:
            self._whole = view_at(self.tensor.shape, self.tensor.stride(), 0)
        return self._whole

    def __str__(self) -> str:
        shape = list(self.tensor.shape)
        return f"{self.name} ({self.kind} of {self.owner}, {shape}, {dtype_name(self.tensor)})"


@lru_cache(maxsize=256)
def short(value: object) -> str:
    """torch's name of a dtype, memory format or layout, without the module."""
    return str(value).removeprefix("torch.")


def dtype_name(tensor: Tensor) -> str:
    """torch's name of the tensor's dtype."""
    return short(tensor.dtype)


def storage_of(tensor: Tensor) -> int | None:
    """An identifier of the tensor's memory, of a DTensor's local part; None where it has none."""
    storage = untyped_storage(tensor)
    return None if storage is None else int(storage._cdata)


def untyped_storage(tensor: Tensor) -> torch.UntypedStorage | None:
    """The tensor's memory, of a DTensor its local part's; None where it has none."""
    if type(tensor) in PLAIN_TYPES and tensor.layout is torch.strided:
        return tensor.untyped_storage()  # nearly every tensor
    if is_dtensor(tensor):
        tensor = local_of(tensor)
    if is_lazy(tensor) or tensor.layout != torch.strided or is_traceable_wrapper_subclass(tensor):
        return None
    return tensor.untyped_storage()


def memories_of(tensor: Tensor) -> list[Tensor]:
    """The strided tensors that hold the values of one of any layout or class."""
    if is_dtensor(tensor):
        return memories_of(local_of(tensor))
    if is_traceable_wrapper_subclass(tensor):
        inner = [getattr(tensor, name) for name in tensor.__tensor_flatten__()[0]]
        return [memory for held in inner for memory in memories_of(held)]
    if tensor.layout is torch.sparse_coo:
        return [tensor._values()]
    if tensor.layout in COMPRESSED:
        return [tensor.values()]
    return [tensor] if tensor.layout is torch.strided and not is_lazy(tensor) else []


def find_targets(paths: list[tuple[str, nn.Module]]) -> list[Target]:
    """Every parameter, then every buffer, persistent or not; ties are one target.

    ``paths`` are a model's ``named_modules(remove_duplicate=False)``.

    Names are those of the plain model: the prefixes of wrappers are taken out.

    Raises:
        RecordError: a lazy or fake tensor; on meta a wrapper subclass other than a DTensor, a
            layout other than strided, or a scripted module's tensor; two tensors of one name; two
            tensors on meta that share memory without being the same object.
        ValueError: a DTensor on meta with a pending Partial.
    """
    held: dict[str, list[tuple[str, Slot, Tensor]]] = {kind: [] for kind in TABLES}
    for prefix, module in paths:
        for kind, table in TABLES.items():
            if tensors := module.__dict__[table]:
                places = held[kind]
                for key, tensor in tensors.items():
                    if tensor is not None:
                        name = canonical_name(f"{prefix}.{key}" if prefix else key)
                        places.append((name, Slot(module, key), tensor))
    targets: dict[int, Target] = {}
    for kind, places in held.items():
        for name, slot, tensor in places:
            target = targets.get(id(tensor))
            if target is None:
                targets[id(tensor)] = Target((name,), kind, tensor, [slot])
                continue
            target.names += (name,)
            if not any(slot.module is s.module and slot.key == s.key for s in target.slots):
                target.slots.append(slot)
    found = list(targets.values())
    for target in found:
        if target.tensor.is_meta and isinstance(target.slots[0].module, torch.jit.ScriptModule):
            raise RecordError(
                f"{target.name} is on meta in a scripted module, whose tensors cannot be replaced;"
                " materialize the model before torch.jit.script"
            )
        if not (type(target.tensor) in PLAIN_TYPES and target.tensor.layout is torch.strided):
            _check_supported(target)
    _check_names_differ(found)
    _check_memory_is_separate(found)
    return found


def _check_supported(target: Target) -> None:
    if is_lazy(target.tensor):
        raise RecordError(
            f"{target.name} of {target.owner} is lazy and has no shape yet; run the model once,"
            " or give the module its sizes, before its values are planned"
        )
    if is_fake(target.tensor):
        raise RecordError(
            f"{target.name} of {target.owner} is a FakeTensor, which has no values and cannot be"
            " given any; build the model on meta, outside of the FakeTensorMode"
        )
    if target.tensor.is_meta and storage_of(target.tensor) is None:
        raise RecordError(
            f"{target.name} of {target.owner} is a {type(target.tensor).__name__} with layout"
            f" {target.tensor.layout}; only strided tensors, and DTensors of them, can be planned"
            " on meta"
        )

    if target.tensor.is_meta and is_dtensor(target.tensor):
        sharding_of(target.tensor)


def _check_names_differ(targets: list[Target]) -> None:
    """Raise where a name, which decides values, is that of two tensors."""
    names = [name for target in targets for name in target.names]
    if len(set(names)) == len(names):
        return
    seen: dict[str, Target] = {}
    for target in targets:
        for name in target.names:
            other = seen.setdefault(name, target)
            if other is not target and (other.tensor.is_meta or target.tensor.is_meta):
                raise RecordError(
                    f"two tensors are called {name} once the prefixes of wrappers are taken out:"
                    f" {other} and {target}; register one under another name"
                )


def _check_memory_is_separate(targets: list[Target]) -> None:
    seen: dict[int, Target] = {}
    for target in targets:
        storage = storage_of(target.tensor) if target.tensor.is_meta else None
        if storage is None:
            continue
        other = seen.setdefault(storage, target)
        if other is not target:
            raise RecordError(
                f"{other.name} and {target.name} share memory on meta but are not the same"
                " object; register the same tensor under both names, or separate tensors"
            )


def make_shadow(tensor: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """A meta tensor of the same geometry, class and Python attributes, in memory of its own.

    Of a DTensor a plain one of the global shape: init code is given whole tensors.
    """
    shadow = torch.empty_strided(
        tensor.shape,
        tensor.stride(),
        dtype=dtype or tensor.dtype,
        device=META,
        requires_grad=tensor.requires_grad,
    )
    if is_dtensor(tensor) and isinstance(tensor, nn.Parameter):
        shadow = nn.Parameter(shadow.detach(), requires_grad=tensor.requires_grad)
    adopt(shadow, tensor)
    return shadow
