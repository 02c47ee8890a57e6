"""What init code wrote to which tensor, gathered from the two layers that see writes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tritoninit.init.parity import check_random_dtype
from tritoninit.layout import check_writable
from tritoninit.plan import Apply, Copy, View
from tritoninit.recipe import Constant, Recipe
from tritoninit.recording.coverage import Span, needed
from tritoninit.recording.targets import RecordError, Target, Written, dtype_name, storage_of
from tritoninit.stream import Key

Keyed = tuple[Recipe, Key | None]


@dataclass(eq=False)
class Temporary:
    """A tensor on meta that is not the model's, and what was written to it.

    ``tensor`` keeps its storage's address from being given to another.  ``taken`` says which
    tensor of the model a random write went on to.  ``unknown`` is set once an operation wrote
    that cannot be recorded.
    """

    tensor: Tensor
    writes: list[Written] = field(default_factory=list)
    taken: dict[int, tuple[Target, View]] = field(default_factory=dict)
    unknown: bool = False


class Recorder:
    """The writes to a model's tensors; ``origin`` is the init code that runs now."""

    def __init__(self, targets: list[Target]) -> None:
        self.origin = ""
        self.quiet = False
        self.failure: RecordError | None = None
        self.sources: dict[str, Tensor] = {}
        self._temporaries: dict[int, Temporary] = {}
        self._memory: dict[int, tuple[Target, int]] = {}
        for target in targets:
            for tensor in (target.tensor, target.shadow):
                storage = None if tensor is None else storage_of(tensor)
                if tensor is not None and storage is not None:
                    self._memory[storage] = target, int(tensor.storage_offset())

    def find(self, tensor: object) -> Target | None:
        """The target in whose memory a tensor lies."""
        if not isinstance(tensor, Tensor):
            return None
        storage = storage_of(tensor)
        found = None if storage is None else self._memory.get(storage)
        return found[0] if found else None

    def temporary(self, tensor: Tensor) -> Temporary:
        """The record of a meta tensor that is not the model's."""
        storage = storage_of(tensor)
        if storage is None:
            return Temporary(tensor, unknown=True)
        return self._temporaries.setdefault(storage, Temporary(tensor))

    def view_of(self, tensor: Tensor) -> View:
        """Where in its target, or in a temporary's memory, a tensor lies."""
        found = self._memory.get(tensor.untyped_storage()._cdata)
        offset = int(tensor.storage_offset()) - (found[1] if found else 0)
        return View(tuple(tensor.shape), tuple(tensor.stride()), offset)

    @contextmanager
    def at(self, origin: str) -> Iterator[None]:
        """Name the init code that runs inside."""
        before, self.origin = self.origin, origin
        try:
            yield
        finally:
            self.origin = before

    @contextmanager
    def ignoring(self) -> Iterator[None]:
        """Let operations pass that are not init code's own."""
        before, self.quiet = self.quiet, True
        try:
            yield
        finally:
            self.quiet = before

    def refuse(self, reason: str, target: Target | None = None) -> RecordError:
        """The error for something that cannot be recorded; it is raised even if swallowed."""
        where = f"{self.origin} writes {target}: " if target else f"{self.origin}: "
        error = RecordError(where + reason)
        self.failure = self.failure or error
        return error

    def write(self, tensor: Tensor, recipe: Recipe, key: Key | None = None) -> None:
        """Record that ``recipe`` is written to ``tensor``, the model's or on meta."""
        target = self.find(tensor)
        check_writable(tensor)
        if recipe.is_random:
            with self.ignoring():
                check_random_dtype(tensor, recipe)
        if target is None:
            temporary = self.temporary(tensor)
            temporary.unknown |= tensor.dtype != temporary.tensor.dtype
            if not temporary.unknown:
                temporary.writes.append(Written(recipe, self.view_of(tensor), key, self.origin))
            return
        if tensor.dtype != target.tensor.dtype:
            raise self.refuse(
                f"through a view of dtype {dtype_name(tensor)}; write it in its own dtype", target
            )
        if target.shadow is None:
            target.stale = True
        else:
            target.writes.append(Written(recipe, self.view_of(tensor), key, self.origin))

    def taken_from(self, source: Tensor, destination: Tensor, target: Target) -> list[Keyed] | str:
        """The writes that make ``source``, a temporary on meta; or why they are not known.

        What fills the source as a whole fills the destination alike, because values depend on
        the row-major index alone.  A draw goes to one destination: a second one would be given
        other values where the init code meant the same.
        """
        temporary = self.temporary(source)
        view = self.view_of(source)
        shown = [
            size if stride else 1 for size, stride in zip(view.shape, view.strides, strict=True)
        ]
        spans = [Span(w.view, not isinstance(w.recipe, Apply)) for w in temporary.writes]
        indices, left = needed(View(tuple(shown), view.strides, view.offset), spans)
        if temporary.unknown or left:
            return "whose values are not known"
        writes = [temporary.writes[index] for index in indices]
        if len(writes) == 1 and isinstance(writes[0].recipe, Constant):
            return [(writes[0].recipe, None)]
        if any(write.view != view for write in writes) or source.shape != destination.shape:
            return "which was written in parts"
        if source.dtype != destination.dtype and not (
            len(writes) == 1 and writes[0].recipe.is_random
        ):
            return f"of dtype {dtype_name(source)}"
        place = target, self.view_of(destination)
        for index, write in zip(indices, writes, strict=True):
            if write.recipe.is_random and temporary.taken.setdefault(index, place) != place:
                other, _ = temporary.taken[index]
                return f"whose random values were copied to {other.name} before"
        return [(write.recipe, write.key) for write in writes]

    def copy(self, source: Tensor) -> Copy:
        """The recipe of a real tensor's values, which are kept."""
        values = source.detach().clone(memory_format=torch.contiguous_format)
        data = values.cpu().reshape(-1).view(torch.uint8).numpy()
        digest = hashlib.blake2b(data.tobytes(), digest_size=16).hexdigest()
        self.sources[digest] = values
        return Copy(tuple(source.shape), dtype_name(source), digest)
