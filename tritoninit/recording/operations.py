"""The second layer: every operation dispatched while code runs, keyed by memory.

Methods of tensors (``normal_``, ``fill_``, ``copy_``, ``w[i] = x``) reach this layer through
whatever views, slices and ``.data`` they are written, because a view shares its storage.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tritoninit.evaluate import flat
from tritoninit.init.parity import check_normal, check_random_dtype, check_uniform
from tritoninit.plan import Apply
from tritoninit.recipe import Constant, Normal, Recipe, Uniform
from tritoninit.recording.recorder import Recorder, is_lazy_view
from tritoninit.recording.schema import Schema, schema_of
from tritoninit.recording.targets import storage_of
from tritoninit.recording.trace import Operation, Ref, view_of

SCALARS = (bool, int, float, complex, str, type(None))
UNFILLED = frozenset(
    {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "empty_permuted"}
)
EMPTY = frozenset({torch.ops.aten.empty.memory_format, torch.ops.aten.empty_strided.default})
CONSTANTS = {"zeros": 0, "zeros_like": 0, "new_zeros": 0, "ones": 1, "ones_like": 1, "new_ones": 1}
RANDOM: dict[str, Recipe] = {
    **{name: Normal(0.0, 1.0) for name in ("randn", "randn_like")},
    **{name: Uniform(0.0, 1.0) for name in ("rand", "rand_like")},
}
HARMLESS = frozenset({"_debug_has_internal_overlap.default", "detach.default", "alias.default"})


def _mapped(value: Any, function: Any) -> Any:
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, list | tuple):
        return type(value)(_mapped(item, function) for item in value)
    return value


class OperationMode(TorchDispatchMode):
    """Records what operations write to followed memory, and what they make from it."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.recorder = recorder

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # to skip it torch imports all of torch._dynamo first, which takes a second

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        recorder = self.recorder
        schema = schema_of(func)
        if recorder.quiet or schema.changes_view:
            return func(*args, **kwargs)
        if func in EMPTY:
            made = func(*args, **kwargs)
            recorder.follow(made)
            return made
        written, read = schema.split(args, kwargs)
        self._check_not_stale(schema, read)
        for tensor in written:
            target = recorder.find(tensor)
            if target is not None and target.shadow is None:
                target.stale = True
                return tensor
        if not self._concerned(schema, kwargs, [*written, *read]):
            return func(*args, **kwargs)
        if any(map(is_lazy_view, written)):
            raise recorder.refuse(
                f"{schema.text} writes through a lazy conjugate or negative; write the tensor that"
                " it is a view of"
            )
        if written and (recipe := self._in_place(schema, args, kwargs, written, read)) is not None:
            recorder.follow(written[0])
            func(*args, **kwargs)  # torch's own checks
            if recipe is not NOTHING:
                recorder.write(written[0], recipe)
            return written[0]
        return self._general(func, args, kwargs, written, read)

    def _concerned(self, schema: Schema, kwargs: dict[str, Any], tensors: list[Tensor]) -> bool:
        if any(map(self.recorder.is_followed, tensors)):
            return True
        if schema.is_random or schema.packet in UNFILLED:
            return True
        device = kwargs.get("device")
        return device is not None and torch.device(device).type == "meta"

    def _general(
        self,
        func: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        written: list[Tensor],
        read: list[Tensor],
    ) -> Any:
        recorder = self.recorder
        tensors = [*written, *read]
        storages = {storage_of(tensor) for tensor in tensors}
        schema = schema_of(func)
        if not written and schema.views:
            return func(*args, **kwargs)  # a view
        for tensor in written:
            if not recorder.is_followed(tensor):
                recorder.memories[self._storage(tensor)] = recorder.ref(tensor).memory
                recorder.kept.append(tensor)
        refs, named = _mapped(args, recorder.ref), {}
        for key, value in kwargs.items():
            named[key] = _mapped(value, recorder.ref)
        run, run_named = args, kwargs
        if any(t.is_meta for t in tensors) and not all(t.is_meta or t.dim() == 0 for t in tensors):
            with recorder.ignoring():  # real values beside those on meta
                run = _mapped(args, lambda t: t.to("meta"))
                run_named = {k: _mapped(v, lambda t: t.to("meta")) for k, v in kwargs.items()}
        found = func(*run, **run_named)
        fresh: list[Ref | None] = []
        for tensor in flat(found):
            if storage_of(tensor) in storages:
                fresh.append(None)
                continue
            memory = recorder.follow(tensor)
            fresh.append(Ref(memory, recorder.now(), view_of(tensor), tensor.dtype))
        recipe = self._made(schema, args)
        if recipe is not None and len(fresh) == 1 and fresh[0] is not None:
            if recipe is not NOTHING:
                recorder.write(found, recipe)
            return found
        places = [recorder.ref(tensor) for tensor in written]
        outputs = [*places, *(ref for ref in fresh if ref is not None)]
        if outputs:
            recorder.wrote(Operation(func, tuple(refs), named, fresh, places), outputs)
        return found

    def _storage(self, tensor: Tensor) -> int:
        storage = storage_of(tensor)
        if storage is None:
            raise self.recorder.refuse(f"a {type(tensor).__name__} cannot be recorded")
        return storage

    def _made(self, schema: Schema, args: tuple[Any, ...]) -> Recipe | None:
        """The recipe of a new tensor; None where it takes the operation itself."""
        name, overload = schema.name, schema.overload
        if name in UNFILLED:
            return NOTHING
        if name in CONSTANTS:
            return Constant(CONSTANTS[name])
        if name in ("full", "full_like"):
            return Constant(args[1])
        if name == "new_full":
            return Constant(args[2])
        if name == "scalar_tensor":
            return Constant(args[0])
        if name == "normal" and overload == "float_float":
            return Normal(float(args[0]), float(args[1]))
        if name in RANDOM:
            return RANDOM[name]
        return None

    def _in_place(
        self,
        schema: Schema,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        written: list[Tensor],
        read: list[Tensor],
    ) -> Recipe | None:
        """The recipe of a write; None where it takes the operation itself."""
        name, overload = schema.name, schema.overload
        tensor = written[0]
        memory = self.recorder.memory(tensor)
        if len(written) > 1 or not args or args[0] is not tensor:
            return None
        recipe: Recipe | None = None
        if name == "zero_":
            recipe = Constant(0)
        elif name == "fill_" and overload == "Scalar":
            recipe = Constant(args[1])
        elif name == "normal_":
            mean, std = _pair(args, kwargs, ("mean", "std"), (0.0, 1.0))
            check_normal(tensor, mean, std)
            recipe = Normal(mean, std)
        elif name == "uniform_":
            low, high = _pair(args, kwargs, ("from", "to"), (0.0, 1.0))
            check_uniform(tensor, low, high)
            recipe = Uniform(low, high)
        elif name == "copy_" or (name == "fill_" and overload == "Tensor"):
            recipe = self._copied(tensor, args[1])
        elif (
            name.endswith("_")
            and not read
            and not schema.is_random
            and all(isinstance(value, SCALARS) for value in (*args[1:], *kwargs.values()))
        ):
            recipe = Apply(schema.text, tuple(args[1:]), tuple(kwargs.items()))
        if recipe is None:
            return None
        if recipe.is_random:
            check_random_dtype(tensor, recipe)
        if memory is None and not tensor.is_meta and not isinstance(recipe, Apply):
            return recipe if tensor.numel() == memory_size(tensor) else None
        if memory is None and not tensor.is_meta:
            return None
        if memory is not None and memory.dtype != tensor.dtype:
            return None
        return recipe

    def _copied(self, tensor: Tensor, source: Tensor) -> Recipe | None:
        recorder = self.recorder
        if not recorder.is_followed(source):
            tensor.new_empty(tensor.shape, device="meta").copy_(source)  # torch's own checks
            return recorder.copy(source)
        if storage_of(source) == storage_of(tensor) and view_of(source) == view_of(tensor):
            return NOTHING
        return None

    def _check_not_stale(self, schema: Schema, read: list[Tensor]) -> None:
        """Values that init code would have changed must not flow into others."""
        if schema.aliases:
            return
        for tensor in read:
            target = self.recorder.find(tensor)
            if target and target.stale and schema.text not in HARMLESS:
                raise self.recorder.refuse(
                    f"{schema.text} reads {target}, which is not on meta and keeps its values,"
                    " after init code wrote to it"
                )


def memory_size(tensor: Tensor) -> int:
    """Elements of the tensor's storage."""
    return int(tensor.untyped_storage().nbytes()) // tensor.itemsize


def _pair(
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    names: tuple[str, str],
    defaults: tuple[float, float],
) -> tuple[float, float]:
    values = list(args[1:3])
    for name, default in list(zip(names, defaults, strict=True))[len(values) :]:
        values.append(kwargs.get(name, default))
    return float(values[0]), float(values[1])


class _Nothing(Recipe):
    """Nothing is written."""

    @property
    def is_random(self) -> bool:
        return False


NOTHING = _Nothing()
