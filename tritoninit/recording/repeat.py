"""Giving a memory the values of another, by the same writes where they come to the same."""

from __future__ import annotations

import torch

from tritoninit.plan import Apply, View
from tritoninit.recipe import TruncNormal
from tritoninit.recording.disguise import unmasked
from tritoninit.recording.recorder import Recorder
from tritoninit.recording.resolve import inside, resolve
from tritoninit.recording.targets import Target
from tritoninit.recording.trace import Event, Memory, Operation, Ref


def repeat(recorder: Recorder, value: Ref, memory: Memory, draws_anew: bool = False) -> bool:
    """Begin a memory's events with those that a value comes from; False if it has gaps.

    Where the memory is of another dtype the value is rounded to it once.  ``draws_anew`` has
    what is a draw, and nothing else, be one in the memory's own dtype.
    """
    events, left = value.events()
    whole = memory.tensor_view
    casts = value.dtype == memory.dtype or all(
        _casts(event, value, memory, draws_anew) for event in events
    )
    if not (casts and _keeps_places(value, events, whole)):
        if not left and not _named(recorder, value, memory, draws_anew):
            origin = events[-1].origin if events else ""
            copy(recorder.now(), memory, whole, value, origin, None)
        return not left
    for event in events:
        view, moved = event.view, whole.offset - value.view.offset
        if moved:
            view = View(view.shape, view.strides, view.offset + moved)
        # At once, before what comes later changes in its place what a copy reads.
        time = event.time + 1
        if isinstance(event.recipe, Operation):
            source = Ref(value.memory, time, event.view, value.dtype)
            copy(time, memory, view, source, event.origin, event)
        else:
            repeated = Event(time, event.recipe, view, event.key, event.origin, event)
            memory.events.append(repeated)
    return not left


def _named(recorder: Recorder, value: Ref, memory: Memory, draws_anew: bool) -> bool:
    """Repeat a chain that is a distribution in disguise; False where it is none."""
    whole = memory.tensor_view
    if (value.view.shape, value.view.strides) != (whole.shape, whole.strides):
        return False
    writes = unmasked(resolve(value))
    first, recipe = writes[0], writes[0].recipe
    if len(writes) != 1 or not isinstance(recipe, TruncNormal):
        return False
    event = Event(recorder.now(), recipe, whole, first.event.key, first.origin, first.event)
    if not _casts(event, value, memory, draws_anew):
        return False
    memory.events.append(event)
    return True


def copy(
    time: int, memory: Memory, view: View, value: Ref, origin: str, event: Event | None
) -> None:
    """Record that a value was copied to a view."""
    place = Ref(memory, time, view, memory.dtype)
    operation = Operation(torch.ops.aten.copy_.default, (place, value), {}, [None], [place])
    memory.events.append(Event(time, operation, view, None, origin, event))


def memory_for(recorder: Recorder, target: Target, dtype: torch.dtype) -> Memory:
    """A memory of its own for values of the target in another dtype, or laid out anew."""
    whole = target.whole
    strided = torch.empty_strided(whole.shape, whole.strides, dtype=dtype, device="meta")
    return recorder.follow(strided)


def _keeps_places(value: Ref, events: list[Event], whole: View) -> bool:
    """Whether the writes to a value can be made to a tensor instead."""
    view = value.view
    same = view is whole or (view.shape, view.strides) == (whole.shape, whole.strides)
    if not same or value.dtype != value.memory.dtype:
        return False
    return all(inside(event.view, view) for event in events)


def _casts(event: Event, value: Ref, memory: Memory, draws_anew: bool) -> bool:
    """Whether a write gives the same in the dtype of the memory, rounded once."""
    if value.dtype == memory.dtype:
        return True
    if isinstance(event.recipe, Apply):
        return False
    if isinstance(event.recipe, Operation) or not event.recipe.is_random:
        return True
    narrows = value.dtype == torch.float32 and memory.dtype in (torch.bfloat16, torch.float16)
    return narrows or draws_anew
