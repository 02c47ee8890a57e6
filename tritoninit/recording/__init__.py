"""What each tensor of a model should hold, learnt by running its init code on shadows.

Shadows are meta tensors of full shape in the place of the model's own; three layers see every
write to them (``calls.py``, ``operations.py``, ``literals.py``).  No memory is touched:
afterwards the model is what it was, and each tensor on meta has the writes that decide its
values.  Constructors that ran under ``record()`` (``construction.py``) come first, init code
after them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from tritoninit.collector import paused
from tritoninit.dtensor import is_dtensor, sharding_of
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
from tritoninit.recording.recorder import Recorder, is_recorded
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
from tritoninit.recording.walk import parents_first
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
        RuntimeError: a ``record()`` is open.
        ValueError: a name to skip is not the model's.
    """
    options = options or Options()
    if is_recording():
        raise RuntimeError("a model cannot be planned while record() is open; leave it first")
    paths = parents_first(model)
    targets = find_targets(paths)
    options.apply(targets)
    first: dict[nn.Module, str] = {}
    for name, module in paths:
        first.setdefault(module, name)
    constructions = constructions_of(first)
    recorder = Recorder(list(constructions))
    shadows = Shadows(first, targets)
    with shadows.in_place():
        filled = _begin(recorder, targets, constructions)
        began = recorder.now()
        built = Built(filled, already_ran(first) if constructions else set())
        with intercepted(recorder), LiteralMode(recorder), OperationMode(recorder):
            initialise(model, recorder, targets, init_fn, built)
        attributes = shadows.changed_attributes()
        values = list(_values(recorder, shadows))
    left = decide(recorder, values, began)
    unknown = {name: reason for name, reason in left.items() if reason != SKIPPED}
    missing = [f"{t}: {unknown[t.name]}" for t, *_ in values if t.name in unknown]
    if missing and options.strict:
        raise RecordError(complaint(missing, init_fn is not None))
    every = [target for target, *_ in values]
    return Recording(list(first), every, left, recorder.sources, attributes)


def _begin(
    recorder: Recorder, targets: list[Target], constructions: list[Construction]
) -> set[int]:
    """Follow the shadows, with the constructors' values in them.

    Returns:
        The ids of the modules whose own tensors on meta all have such values.
    """
    filled: dict[int, bool] = {}
    for target in targets:
        memory = recorder.follow(target.tensor if target.shadow is None else target.shadow)
        memory.target = target
        complete = True
        if target.shadow is not None:
            if constructions:
                values = (value for c in constructions if (value := c.value_of(target)) is not None)
                value = next(values, None)
                anew = target.rounded is not None
                complete = value is not None and repeat(recorder, value, memory, anew)
                target.outdated = any(c.is_outdated(target) for c in constructions)
            tensor = target.tensor  # init code may hold the tensor itself
            plain = not target.is_sharded and tensor.storage_offset() == 0
            if plain and tensor.dtype == memory.dtype:
                recorder.memories[tensor.untyped_storage()._cdata] = memory
            else:
                target.own = recorder.follow(tensor)
        if constructions:
            for slot in target.slots:
                filled[id(slot.module)] = filled.get(id(slot.module), True) and complete
    return {module for module, complete in filled.items() if complete}


def _values(recorder: Recorder, shadows: Shadows) -> Iterator[tuple[Target, Ref, bool]]:
    """Every target with what init code left in its place, and whether it is a new tensor."""
    recorder.running = "init code"
    for target, held in shadows.held():
        try:
            ref = _value(recorder, target, held)
        except RecordError:
            if not target.skipped:
                raise
            memory = recorder.follow(held)
            ref = Ref(memory, recorder.now(), memory.tensor_view, memory.dtype)
            yield target, ref, False
        else:
            yield target, ref, held is not target.shadow
    recorder.running = ""


def _value(recorder: Recorder, target: Target, held: Tensor) -> Ref:
    """What init code left in a target's place."""
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
        copy(recorder, memory, target.whole, ref, "init code", None)
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
