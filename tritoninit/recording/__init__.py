"""What each tensor of a model should hold, learnt by running its init code on shadows.

Shadows are meta tensors of full shape in the place of the model's own; three layers see every
write to them (``calls.py``, ``operations.py``, ``literals.py``).  No memory is touched:
afterwards the model is what it was, and each tensor on meta has the writes that decide its
values.  Constructors that ran under ``record()`` (``construction.py``) come first, init code
after them.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from tritoninit.collector import paused
from tritoninit.dtensor import is_dtensor, sharding_of
from tritoninit.layout import in_fake_mode
from tritoninit.plan import SKIPPED, Fill, Left, Plan, View, Write
from tritoninit.recording.audit import complaint, decide
from tritoninit.recording.calls import intercepted
from tritoninit.recording.construction import (
    Construction,
    already_ran,
    constructions_of,
    is_recording,
    record_construction,
)
from tritoninit.recording.initialise import Built, InitFn, initialise
from tritoninit.recording.keying import Keying
from tritoninit.recording.literals import LiteralMode
from tritoninit.recording.operations import OperationMode
from tritoninit.recording.options import Options
from tritoninit.recording.program import ProgramError, compiled
from tritoninit.recording.recorder import Recorder, is_lazy_view, is_recorded
from tritoninit.recording.repeat import copy, memory_for, repeat
from tritoninit.recording.shadows import Shadows
from tritoninit.recording.targets import (
    RecordError,
    Target,
    Written,
    dtype_name,
    find_targets,
    short,
)
from tritoninit.recording.trace import Ref
from tritoninit.stream import Key

__all__ = [
    "InitFn",
    "Options",
    "RecordError",
    "Recording",
    "Target",
    "record_construction",
    "record_model",
]


F = TypeVar("F", bound=Fill)


@dataclass(frozen=True)
class Recording:
    """The targets on meta with their writes, the values to copy, and attributes that were set.

    ``modules`` are the model's, each once.  ``left`` says of targets that stay on meta, by name,
    why they do; the others are ``targets``.  ``sources`` holds the tensors of
    :class:`tritoninit.plan.Copy` by digest.
    """

    modules: list[nn.Module]
    every: list[Target]
    left: dict[str, str]
    sources: dict[str, Tensor]
    attributes: list[tuple[nn.Module, dict[str, Any]]]

    @property
    def targets(self) -> list[Target]:
        """The targets that will be given values."""
        if not self.left:
            return self.every
        return [target for target in self.every if target.name not in self.left]

    @paused()
    def plan(self, key: Key) -> Plan:
        """The plan under a root key."""
        keying = Keying(key, self.every)
        fills: list[Fill] = []
        left: list[Left] = []
        for target in self.every:
            reason = self.left.get(target.name)
            if reason is None:
                origins = dict.fromkeys([written.origin for written in target.writes])
                whole = target.whole
                writes = tuple([_write(w, whole, target, keying) for w in target.writes])
                origin = ", ".join(origins)
                fills.append(_fill(Fill, target, whole, target.dtype, writes, origin))
                continue
            with suppress(ProgramError):
                for written in target.writes:  # its draws belong to it all the same
                    _write(written, target.whole, target, keying)
            left.append(_fill(Left, target, target.whole, target.tensor.dtype, (), reason))
        return Plan(key, tuple(fills), tuple(left))


@paused()
def record_model(
    model: nn.Module, init_fn: InitFn | None = None, options: Options | None = None
) -> Recording:
    """Run the model's init code on shadows, after what its constructors were seen to do.

    Raises:
        RecordError: a tensor on meta is not fully written, or written in a way that cannot be
            replayed.
        RuntimeError: a ``record()`` or a FakeTensorMode is open.
        ValueError: a name to skip is not the model's.
    """
    options = options or Options()
    if is_recording():
        raise RuntimeError("a model cannot be planned while record() is open; leave it first")
    if in_fake_mode():
        raise RuntimeError(
            "a model cannot be planned in a FakeTensorMode, which gives no tensor values; leave it"
            " first"
        )
    paths = list(model.named_modules(remove_duplicate=False))
    targets = find_targets(paths)
    options.apply(targets)
    first: dict[nn.Module, str] = {}
    for name, module in paths:
        first.setdefault(module, name)
    constructions = constructions_of(first)
    recorder = Recorder(list(constructions))
    shadows = Shadows(first, targets)
    filled: dict[int, bool] = {}
    every: list[Target] = []
    left: dict[str, str] = {}
    with shadows.in_place(partial(_begin, recorder, constructions, filled)):
        began = recorder.now()
        complete = {module for module, is_complete in filled.items() if is_complete}
        built = Built(complete, already_ran(first) if constructions else set())
        with intercepted(recorder), LiteralMode(recorder), OperationMode(recorder):
            initialise(model, recorder, targets, init_fn, built)
        attributes = shadows.changed_attributes()
        recorder.running = "init code"
        for target, held in shadows.held():
            ref, assigned = _value(recorder, target, held), held is not target.shadow
            reason = decide(recorder, target, ref, assigned, began)
            every.append(target)
            if reason is not None:
                left[target.name] = reason
        recorder.running = ""
    unknown = {name: reason for name, reason in left.items() if reason != SKIPPED}
    if unknown and options.strict:
        missing = [f"{t}: {unknown[t.name]}" for t in every if t.name in unknown]
        raise RecordError(complaint(missing, init_fn is not None))
    return Recording(list(first), every, left, recorder.sources, attributes)


def _begin(
    recorder: Recorder,
    constructions: list[Construction],
    filled: dict[int, bool],
    target: Target,
) -> None:
    """Follow a target's shadow, with the constructors' value in it.

    ``filled`` says of modules, by id, whether all of their tensors on meta have such values.
    """
    shadow, tensor = target.shadow, target.tensor
    if shadow is None:
        recorder.protect(target)
        complete = True
    else:
        memory = target.memory = recorder.follow(shadow, target.whole)
        memory.target = target
        complete = False
        if constructions:
            values = (value for c in constructions if (value := c.value_of(target)) is not None)
            value = next(values, None)
            anew = target.rounded is not None
            complete = value is not None and repeat(recorder, value, memory, anew)
            target.outdated = any(c.is_outdated(target) for c in constructions)
        # Init code may hold the tensor itself.
        plain = not target.is_sharded and tensor.storage_offset() == 0
        if plain and tensor.dtype == memory.dtype:
            recorder.memories[tensor.untyped_storage()._cdata] = memory
        else:
            target.own = recorder.follow(tensor)
    if constructions:
        for slot in target.slots:
            filled[id(slot.module)] = filled.get(id(slot.module), True) and complete


def _value(recorder: Recorder, target: Target, held: Tensor) -> Ref:
    """What init code left in a target's place."""
    memory, whole = recorder.memory(held), target.whole
    if (
        memory is not None
        and memory is target.memory
        and held is target.shadow
        and held.dtype is memory.dtype
        and held.shape == whole.shape
        and held.stride() == whole.strides
        and not (held.storage_offset() or is_lazy_view(held))
    ):
        return Ref(memory, recorder.now(), whole, memory.dtype)  # nearly every tensor
    try:
        return _checked_value(recorder, target, held)
    except RecordError:
        if not target.skipped:
            raise
        memory = recorder.follow(held)
        return Ref(memory, recorder.now(), memory.tensor_view, memory.dtype)


def _checked_value(recorder: Recorder, target: Target, held: Tensor) -> Ref:
    """What init code left in a target's place, if it can be that."""
    assigned, tensor = held is not target.shadow, target.tensor
    if held.shape != tensor.shape or held.dtype not in (target.working, tensor.dtype):
        doing = "assigned a tensor" if assigned else "changed it to one"
        raise recorder.refuse(
            f"{doing} on {held.device} of shape {list(held.shape)} and dtype"
            f" {dtype_name(held)}; only one of the same shape and dtype can take its place",
            target,
        )
    memory = recorder.memory(held)
    if memory is not None and not is_recorded(memory):
        raise recorder.refuse(f"assigned {memory.target}, which keeps its own values", target)
    ref = recorder.ref_in(memory, held)
    if assigned and ref.view.strides != target.whole.strides:
        memory = memory_for(recorder, target, held.dtype)
        copy(recorder.now(), memory, target.whole, ref, "init code", None)
        ref = Ref(memory, recorder.now(), target.whole, held.dtype)
    return ref


def _fill(
    entry: type[F],
    target: Target,
    whole: View,
    dtype: torch.dtype,
    writes: tuple[Write, ...],
    origin: str,
) -> F:
    """The entry of a target that will have ``dtype``."""
    tensor = target.tensor
    sharding = sharding_of(tensor) if is_dtensor(tensor) else None
    name, *aliases = target.names
    facts = whole.shape, whole.strides, short(dtype), dtype.itemsize
    return entry(name, tuple(aliases), target.kind, *facts, writes, origin, sharding)


def _write(written: Written, whole: View, target: Target, keying: Keying) -> Write:
    view = None if written.view is whole or written.view == whole else written.view
    recipe = written.recipe
    if recipe is None:
        program = compiled(written.value, lambda event: keying.key_of(event, target))
        return Write(program, view)
    if recipe.is_random:
        draw, key = keying.key_of(written.event, target)
        return Write(recipe, view, draw, written.event.key or key)
    return Write(recipe, view)
