"""What happened to memory while code ran: an event for every write, in order.

A value is a view of a memory at a time.  Everything that it depends on is reached from there,
through the operations that wrote it and the values that they read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tritoninit.plan import Apply, View
from tritoninit.recipe import Recipe
from tritoninit.recording.coverage import Span, needed
from tritoninit.stream import Key

# In-place operations that do not read what they write.
REPLACING = frozenset(
    {"copy_", "fill_", "normal_", "uniform_", "exponential_", "bernoulli_", "random_", "cauchy_"}
    | {"geometric_", "log_normal_", "_foreach_zero_", "_foreach_copy_"}
)


@dataclass(eq=False)
class Operation:
    """An operation of torch; ``args`` and ``kwargs`` hold a Ref for every tensor.

    ``results`` are the places of the tensors that it returned, None for arguments.
    """

    func: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    results: list[Ref | None]
    written: list[Ref]

    @property
    def is_random(self) -> bool:
        """Whether it draws from a generator of torch."""
        return torch.Tag.nondeterministic_seeded in self.func.tags

    @property
    def reads(self) -> list[Ref]:
        """The values that it depends on; what is given as ``out=`` is none."""
        out = {argument.name for argument in self.func._schema.arguments if argument.is_out}
        named = tuple(value for name, value in self.kwargs.items() if name not in out)
        read = list(_refs((self.args, named)))
        if self.func.overloadpacket.__name__ in REPLACING:
            written = {(id(ref.memory), ref.view) for ref in self.written}
            read = [ref for ref in read if (id(ref.memory), ref.view) not in written]
        return read + [ref.around for ref in self.written if ref.is_part_in_bits]

    @property
    def writes_bits(self) -> bool:
        """Whether it writes through a view of another dtype than the memory's."""
        return any(ref.dtype != ref.memory.dtype for ref in self.written)


@dataclass(eq=False, slots=True)
class Event:
    """A write to a view of a memory, and the code that asked for it."""

    time: int
    recipe: Recipe | Operation
    view: View
    key: Key | None
    origin: str
    drawn: Event | None = None  # the event whose values these are, where it is a repetition

    @property
    def overwrites(self) -> bool:
        """Whether nothing is left of what was there (an operation reads it by a Ref)."""
        return not isinstance(self.recipe, Apply)


@dataclass(eq=False, slots=True)
class Memory:
    """The memory of a tensor, of the dtype and in the place of the one that was made first.

    Holding ``storage`` keeps its address from being given to another.
    """

    storage: torch.UntypedStorage
    dtype: torch.dtype
    tensor_view: View
    target: Any = None
    events: list[Event] = field(default_factory=list)

    @property
    def numel(self) -> int:
        """Elements of the whole storage."""
        return int(self.storage.nbytes()) // self.dtype.itemsize


class Ref(NamedTuple):
    """A view of a memory as it was before ``time``."""

    memory: Memory
    time: int
    view: View
    dtype: torch.dtype

    def events(self) -> tuple[list[Event], int]:
        """(the writes that reach the value, how many of its elements nothing wrote)."""
        last = self.last_write()
        if last is not None:
            return [last], 0  # nearly every tensor
        events = self.memory.events
        shape, strides, offset = self.view.shape, self.view.strides, self.view.offset
        shown = tuple(s if t else min(s, 1) for s, t in zip(shape, strides, strict=True))
        before = [event for event in events if event.time < self.time]
        if self.dtype != self.memory.dtype:  # another reading of the memory, such as complex
            shown, strides, offset = (self.memory.numel,), (1,), 0
        spans = [Span(event.view, event.overwrites) for event in before]
        indices, left = needed(View(shown, strides, offset), spans)
        return [before[index] for index in indices], left

    @property
    def is_part_in_bits(self) -> bool:
        """Whether it is a view of another dtype of some of the memory; the rest is then kept."""
        nbytes = math.prod(self.view.shape) * self.dtype.itemsize
        return self.dtype != self.memory.dtype and nbytes < self.memory.storage.nbytes()

    @property
    def around(self) -> Ref:
        """All of the memory at that time."""
        return self._replace(
            view=View((self.memory.numel,), (1,), 0),
            dtype=self.memory.dtype,
        )

    def last_write(self) -> Event | None:
        """The memory's last write, where it decides the whole value by itself."""
        memory, time, view, dtype = self
        if not memory.events:
            return None
        event = memory.events[-1]
        decides = (
            event.time < time
            and (event.view is view or event.view == view)
            and event.overwrites
            and dtype == memory.dtype
            and 0 not in view.shape
        )
        return event if decides else None


def _refs(value: Any) -> Any:
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _refs(item)


def view_of(tensor: Tensor) -> View:
    """Where in its memory a tensor lies."""
    return view_at(tensor.shape, tensor.stride(), tensor.storage_offset())


@lru_cache(maxsize=4096)  # a model has many tensors of few geometries
def view_at(shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> View:
    """The view of this geometry, one object for all that have it."""
    return View(tuple(shape), tuple(strides), offset)


def history(ref: Ref) -> list[tuple[Memory, Event]]:
    """Every write that the value depends on, with its memory, in the order of time."""
    found: dict[int, tuple[Memory, Event]] = {}
    todo = [ref]
    while todo:
        at = todo.pop()
        for event in at.events()[0]:
            if id(event) in found:
                continue
            found[id(event)] = at.memory, event
            if isinstance(event.recipe, Operation):
                todo += event.recipe.reads
    return sorted(found.values(), key=lambda pair: pair[1].time)


def unwritten(ref: Ref) -> bool:
    """Whether the value, or one that it depends on, holds elements that nothing wrote."""
    seen: set[tuple[int, int, View]] = set()
    todo = [ref]
    while todo:
        at = todo.pop()
        key = id(at.memory), at.time, at.view
        if key in seen:
            continue
        seen.add(key)
        events, left = at.events()
        if left:
            return True
        for event in events:
            if isinstance(event.recipe, Operation):
                todo += event.recipe.reads
    return False


def is_random(ref: Ref) -> bool:
    """Whether the value depends on a draw."""
    return any(event.recipe.is_random for _, event in history(ref))
