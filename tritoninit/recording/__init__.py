"""What each tensor of a model should hold, learnt by running its init code on shadows.

Shadows are meta tensors of full shape in the place of the model's own; three layers see every
write to them (``calls.py``, ``operations.py``, ``literals.py``).  No memory is touched:
afterwards the model is what it was, and each tensor on meta has the writes that decide its
values.  Constructors that ran under ``record()`` (``construction.py``) come first, init code
after them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tritoninit.dtensor import is_dtensor, sharding_of
from tritoninit.plan import Apply, Fill, View, Write
from tritoninit.recording.calls import intercepted
from tritoninit.recording.collector import paused
from tritoninit.recording.construction import (
    Construction,
    constructions_of,
    is_recording,
    record_construction,
)
from tritoninit.recording.disguise import unmasked
from tritoninit.recording.initialise import Built, InitFn, initialise
from tritoninit.recording.keying import Keying
from tritoninit.recording.literals import LiteralMode
from tritoninit.recording.operations import OperationMode
from tritoninit.recording.program import ProgramError, compiled
from tritoninit.recording.recorder import Recorder
from tritoninit.recording.resolve import inside, resolve
from tritoninit.recording.shadows import Shadows
from tritoninit.recording.targets import (
    RecordError,
    Target,
    dtype_name,
    find_targets,
)
from tritoninit.recording.trace import Event, Memory, Operation, Ref, unwritten
from tritoninit.stream import Key

__all__ = ["InitFn", "RecordError", "Recording", "Target", "record_construction", "record_model"]


@dataclass(frozen=True)
class Recording:
    """The targets on meta with their writes, the values to copy, and attributes that were set.

    ``sources`` holds the tensors of :class:`tritoninit.plan.Copy` by digest.
    """

    targets: list[Target]
    sources: dict[str, Tensor]
    attributes: list[tuple[nn.Module, dict[str, Any]]]

    @paused()
    def fills(self, key: Key) -> tuple[Fill, ...]:
        """The plan's entries under a root key."""
        keying = Keying(key, self.targets)
        return tuple(_fill(target, keying) for target in self.targets)


@paused()
def record_model(model: nn.Module, init_fn: InitFn | None = None) -> Recording:
    """Run the model's init code on shadows, after what its constructors were seen to do.

    Raises:
        RecordError: a tensor on meta is not fully written, or written in a way that cannot be
            replayed.
        RuntimeError: a ``record()`` is open.
    """
    if is_recording():
        raise RuntimeError("a model cannot be planned while record() is open; leave it first")
    targets = find_targets(model)
    constructions = constructions_of(model)
    recorder = Recorder(list(constructions))
    shadows = Shadows(model, targets)
    with shadows.in_place():
        filled = _begin(recorder, targets, constructions)
        began = recorder.now()
        ran = set().union(*(construction.ran for construction in constructions))
        with intercepted(recorder), LiteralMode(recorder), OperationMode(recorder):
            initialise(model, recorder, targets, init_fn, Built(filled, ran))
        for state in shadows.states:
            state.check_structure()
        values = [(target, *_value(recorder, target, held)) for target, held in shadows.held()]
        attributes = shadows.changed_attributes()
    _check_complete(values, init_fn is not None)
    for target, ref, assigned in values:
        if target.outdated and any(event.time < began for event in ref.events()[0]):
            raise RecordError(
                f"{target} was written after record() ended, where it is not seen; write it"
                " inside, or in init_fn"
            )
        target.writes = unmasked(resolve(ref))
        if assigned:
            origin = f"assignment to {target.name}"
            target.writes = [write._replace(origin=origin) for write in target.writes]
        _check_programs(target)
    return Recording([target for target, *_ in values], recorder.sources, attributes)


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
            values = (value for c in constructions if (value := c.value_of(target)) is not None)
            value = next(values, None)
            complete = value is not None and _repeat(recorder, value, memory)
            target.outdated = any(c.is_outdated(target) for c in constructions)
            plain = not target.is_sharded and target.tensor.storage_offset() == 0
            if plain:  # init code may hold the tensor itself
                recorder.memories[target.tensor.untyped_storage()._cdata] = memory
        for slot in target.slots:
            filled[id(slot.module)] = filled.get(id(slot.module), True) and complete
    return {module for module, complete in filled.items() if complete and constructions}


def _repeat(recorder: Recorder, value: Ref, memory: Memory) -> bool:
    """Begin a shadow's events with those that a value comes from; False if it has gaps."""
    events, left = value.events()
    whole = memory.tensor_view
    if not (_keeps_places(value, whole) and all(_casts(event, value, memory) for event in events)):
        if not left:
            _copy(recorder, memory, whole, value, events[-1].origin if events else "", None)
        return not left
    for event in events:
        shape, strides = event.view.shape, event.view.strides
        view = View(shape, strides, event.view.offset - value.view.offset + whole.offset)
        if isinstance(event.recipe, Operation):
            source = Ref(value.memory, event.time + 1, event.view, value.dtype)
            _copy(recorder, memory, view, source, event.origin, event)
        else:
            repeated = Event(recorder.now(), event.recipe, view, event.key, event.origin, event)
            memory.events.append(repeated)
    return not left


def _copy(
    recorder: Recorder, memory: Memory, view: View, value: Ref, origin: str, event: Event | None
) -> None:
    """Record that a value is copied to a view."""
    place = Ref(memory, recorder.now(), view, memory.dtype)
    operation = Operation(torch.ops.aten.copy_.default, (place, value), {}, [None], [place])
    memory.events.append(Event(recorder.now(), operation, view, None, origin, event))


def _keeps_places(value: Ref, whole: View) -> bool:
    """Whether the writes to a value can be made to a tensor instead."""
    geometry = value.view.shape, value.view.strides
    return (
        geometry == (whole.shape, whole.strides)
        and value.dtype == value.memory.dtype
        and all(inside(event.view, value.view) for event in value.events()[0])
    )


def _casts(event: Event, value: Ref, memory: Memory) -> bool:
    """Whether a write gives the same in the dtype of the memory, rounded once."""
    if value.dtype == memory.dtype:
        return True
    if isinstance(event.recipe, Apply):
        return False
    narrows = value.dtype == torch.float32 and memory.dtype in (torch.bfloat16, torch.float16)
    return isinstance(event.recipe, Operation) or not event.recipe.is_random or narrows


def _value(recorder: Recorder, target: Target, held: Tensor) -> tuple[Ref, bool]:
    """What init code left in a target's place, and whether it is a new tensor."""
    assigned = held is not target.shadow
    geometry = tuple(held.shape), held.dtype
    with recorder.at("init code"):
        if geometry != (tuple(target.tensor.shape), target.tensor.dtype):
            doing = "assigned a tensor" if assigned else "changed it to one"
            raise recorder.refuse(
                f"{doing} on {held.device} of shape {list(held.shape)} and dtype"
                f" {dtype_name(held)}; only one of the same shape and dtype can take its place",
                target,
            )
        source = recorder.find(held)
        if source is not None and source.shadow is None:
            raise recorder.refuse(f"assigned {source}, which keeps its own values", target)
        ref = recorder.ref(held)
    if ref.view.strides != target.whole.strides and assigned:
        whole = target.whole
        strided = torch.empty_strided(whole.shape, whole.strides, dtype=held.dtype, device="meta")
        memory = recorder.follow(strided)
        _copy(recorder, memory, whole, ref, "init code", None)
        ref = Ref(memory, recorder.now(), whole, held.dtype)
    return ref, assigned


def _check_complete(values: list[tuple[Target, Ref, bool]], has_init_fn: bool) -> None:
    """Raise where an element has no recipe."""
    missing = []
    for target, ref, _ in values:
        left = ref.events()[1]
        if left == target.tensor.numel() and left:
            missing.append(f"  {target}: nothing fills it")
        elif left:
            missing.append(f"  {target}: {left:,} elements are filled by nothing")
        elif any(isinstance(e.recipe, Operation) for e in ref.events()[0]) and unwritten(ref):
            missing.append(f"  {target}: it is computed from elements that nothing fills")
    if missing:
        advice = (
            "Have init_fn fill them (it runs in the place of reset_parameters and init_weights)."
            if has_init_fn
            else "Build the model under tritoninit.record(), give the module a reset_parameters()"
            " that fills them, or pass init_fn."
        )
        count = "1 tensor has" if len(missing) == 1 else f"{len(missing)} tensors have"
        raise RecordError("\n".join([f"{count} no recipe:", *missing, advice]))


def _check_programs(target: Target) -> None:
    """Raise where values cannot be computed; the keys are of no account."""
    for written in target.writes:
        if written.value is not None:
            try:
                compiled(written.value, lambda _: (0, Key(0)))
            except ProgramError as error:
                raise RecordError(f"{target} cannot be computed: {error}") from None


def _fill(target: Target, keying: Keying) -> Fill:
    whole = target.whole
    writes = []
    for written in target.writes:
        view = None if written.view == whole else written.view
        recipe = written.recipe
        if recipe is None:
            program = compiled(written.value, lambda event: keying.key_of(event, target))
            writes.append(Write(program, view))
        elif recipe.is_random:
            draw, key = keying.key_of(written.event, target)
            writes.append(Write(recipe, view, draw, written.event.key or key))
        else:
            writes.append(Write(recipe, view))
    return Fill(
        name=target.name,
        aliases=target.names[1:],
        kind=target.kind,
        shape=whole.shape,
        strides=whole.strides,
        dtype=dtype_name(target.tensor),
        itemsize=target.tensor.element_size(),
        writes=tuple(writes),
        origin=", ".join(dict.fromkeys(written.origin for written in target.writes)),
        sharding=sharding_of(target.tensor) if is_dtensor(target.tensor) else None,
    )
