"""From what happened to a tensor's memory to the writes of a plan.

A chain of draws, copies and pointwise operations with numbers is handed on to the tensor as it
is, so that a part of it can be written without the rest.  Any other value is computed as a whole.
"""

from __future__ import annotations

from typing import Any

import torch

from tritoninit.plan import Apply, Copy, View
from tritoninit.recipe import Constant, Recipe
from tritoninit.recording.coverage import difference, end_of, runs_of
from tritoninit.recording.targets import Written
from tritoninit.recording.trace import Event, Operation, Ref
from tritoninit.region import row_major

Link = tuple[Recipe, Event]

COPIES = {"copy_": 1, "clone": 0, "_to_copy": 0, "fill_": 1}
SCALARS = (bool, int, float, complex, str, type(None))


def resolve(ref: Ref) -> list[Written]:
    """The writes, on views of the tensor, that give it the value."""
    whole = ref.view
    events, left = ref.events()
    if not left and len(events) == 1 and ref.dtype == ref.memory.dtype:
        (event,) = events
        if event.view is whole and not whole.offset and isinstance(event.recipe, Recipe):
            return [Written(event.recipe, whole, event, event.origin)]  # nearly every tensor
    if ref.dtype != ref.memory.dtype or not all(inside(event.view, whole) for event in events):
        return [_computed(ref, View(whole.shape, whole.strides, 0), events[-1].origin)]
    writes = []
    for event in events:
        shape, strides, offset = event.view.shape, event.view.strides, event.view.offset
        view = View(shape, strides, offset - whole.offset)
        if not isinstance(event.recipe, Operation):
            writes.append(Written(event.recipe, view, event, event.origin))
            continue
        links = _operation_chain(event, shape, ref.dtype)
        source = _copied(event)
        if links is not None:
            writes += [Written(recipe, view, link, link.origin) for recipe, link in links]
        elif source is None:
            value = Ref(ref.memory, event.time + 1, event.view, ref.dtype)
            writes.append(_computed(value, view, event.origin))
        elif source.dtype == ref.dtype and View(shape, strides, source.view.offset) == source.view:
            writes += [_moved(written, view.offset) for written in resolve(source)]
        else:
            writes.append(_computed(source, view, event.origin))
    return writes


def _copied(event: Event) -> Ref | None:
    """The value that an operation only copies."""
    operation = event.recipe
    assert isinstance(operation, Operation)
    index = COPIES.get(operation.func.overloadpacket.__name__)
    if operation.writes_bits:
        return None
    source = None if index is None else operation.args[index]
    return source if isinstance(source, Ref) and source.memory.events else None


def _moved(written: Written, by: int) -> Written:
    view = written.view
    return written._replace(view=View(view.shape, view.strides, view.offset + by))


def _computed(value: Ref, view: View, origin: str) -> Written:
    return Written(None, view, None, origin, value)


def inside(view: View, whole: View) -> bool:
    """Whether a view lies within another."""
    if view == whole:
        return True
    if whole.strides == row_major(whole.shape):
        return not end_of(view) or (view.offset >= whole.offset and end_of(view) <= end_of(whole))
    return not difference(runs_of(view), runs_of(whole)).size


def _chain(ref: Ref, shape: tuple[int, ...], dtype: torch.dtype) -> list[Link] | None:
    """The writes that give a tensor of this shape and dtype the value, broadcast; or None."""
    events, left = ref.events()
    if left or not events or ref.dtype != ref.memory.dtype:
        return None
    if len(events) == 1 and isinstance(events[0].recipe, Constant):
        value = torch.tensor(events[0].recipe.value, dtype=ref.dtype, device="cpu").item()
        same = ref.dtype == dtype
        return [(events[0].recipe if same else Constant(value), events[0])]
    if any(event.view != ref.view for event in events):
        return None
    first, *rest = events
    if any(not isinstance(event.recipe, Apply) for event in rest):
        return None
    links: list[Link] | None
    if isinstance(first.recipe, Operation):
        links = _operation_chain(first, ref.view.shape, ref.dtype)
    else:
        links = [(first.recipe, first)]
    if links is None:
        return None
    links += [(event.recipe, event) for event in rest if isinstance(event.recipe, Recipe)]
    single = links[0][0] if len(links) == 1 else None
    if ref.view.shape != shape and not isinstance(single, Copy | Constant):
        return None
    if ref.dtype != dtype:
        widest = isinstance(single, Recipe) and single.is_random and ref.dtype == torch.float32
        if not (widest and dtype in (torch.bfloat16, torch.float16)):
            return None
    return links


def _operation_chain(event: Event, shape: tuple[int, ...], dtype: torch.dtype) -> list[Link] | None:
    operation = event.recipe
    assert isinstance(operation, Operation)
    packet = operation.func.overloadpacket.__name__
    if operation.writes_bits:
        return None
    if packet in COPIES:
        source = operation.args[COPIES[packet]]
        return _chain(source, shape, dtype) if isinstance(source, Ref) else None
    applied = _in_place_form(operation)
    if applied is None:
        return None
    source = operation.args[0]
    if source.view.shape != shape or source.dtype != dtype:
        return None
    links = _chain(source, shape, dtype)
    if links is None or not links[0][0].is_random:
        return None  # without a draw the values are those of torch's CPU kernels
    return [*links, (applied, event)]


def _in_place_form(operation: Operation) -> Apply | None:
    """The operation on its first argument in place, if the others are numbers."""
    func, (first, *others) = operation.func, operation.args or (None,)
    if not isinstance(first, Ref) or torch.Tag.pointwise not in func.tags or operation.is_random:
        return None
    if not all(isinstance(value, SCALARS) for value in (*others, *operation.kwargs.values())):
        return None
    name, overload = func.overloadpacket.__name__ + "_", func._overloadname
    packet: Any = getattr(torch.ops.aten, name, None)
    if packet is None or overload not in packet.overloads():
        return None
    return Apply(f"{name}.{overload}", tuple(others), tuple(operation.kwargs.items()))
