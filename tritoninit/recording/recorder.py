"""What code wrote to which memory, gathered from the layers that see writes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from tritoninit.dtensor import is_dtensor
from tritoninit.init.parity import check_random_dtype
from tritoninit.layout import DTYPES, PLAIN_TYPES, check_writable
from tritoninit.plan import Copy, View
from tritoninit.recipe import Recipe
from tritoninit.recording.known import Asked, Known
from tritoninit.recording.targets import (
    RecordError,
    Target,
    dtype_name,
    memories_of,
    untyped_storage,
)
from tritoninit.recording.trace import Event, Memory, Operation, Ref, view_of
from tritoninit.stream import Key

Evaluate = Callable[[Ref], Tensor]


class Recorder:
    """The memories that are followed: a model's, those on meta, and what was drawn elsewhere.

    ``origin`` is the code that runs now.
    """

    clock = 0  # of all recorders, so that values of one can be read in another

    def __init__(self, earlier: list[Recorder] | None = None) -> None:
        self.quiet = False
        self.failure: RecordError | None = None
        self.sources: dict[str, Tensor] = {}
        self.memories: dict[int, Memory] = {}
        self.kept: list[Tensor] = []  # so that their addresses are not given to others
        self.known = Known()
        self.modes = -1  # function modes that are open where no code of others opened one
        self.running = ""  # the code that runs now
        for recorder in earlier or ():
            self.memories.update(recorder.memories)
            self.sources.update(recorder.sources)

    @property
    def origin(self) -> str:
        """The code that runs now, for errors and plans."""
        return self.running

    def now(self) -> int:
        """The time of the next event; each is two later, with one for a repetition between."""
        Recorder.clock += 2
        return Recorder.clock

    def follow(self, tensor: Tensor, view: View | None = None) -> Memory:
        """The memory of a tensor, followed from now on if it was not before.

        ``view`` is where the tensor lies in it, if that is known.
        """
        storage = untyped_storage(tensor)
        if storage is None:
            raise self.refuse(
                f"a {type(tensor).__name__} with layout {tensor.layout} cannot be recorded"
            )
        address = storage._cdata
        memory = self.memories.get(address)
        if memory is None:
            memory = Memory(storage, tensor.dtype, view or view_of(tensor))
            self.memories[address] = memory
        return memory

    def memory(self, tensor: Any) -> Memory | None:
        """The memory of a tensor, if it is followed."""
        if type(tensor) in PLAIN_TYPES and tensor.layout is torch.strided:
            return self.memories.get(tensor.untyped_storage()._cdata)  # nearly every tensor
        if not isinstance(tensor, Tensor):
            return None
        storage = untyped_storage(tensor)
        if storage is not None:
            return self.memories.get(storage._cdata)
        with self.ignoring():
            held = memories_of(tensor)
        return self.memory(held[0]) if held else None

    def protect(self, target: Target) -> None:
        """Follow a target that has values, of any layout or class, so that it keeps them."""
        for held in memories_of(target.tensor):
            storage = held.untyped_storage()
            view = View((storage.nbytes() // held.itemsize,), (1,), 0)
            self.memories[storage._cdata] = Memory(storage, held.dtype, view, target)

    def find(self, tensor: object) -> Target | None:
        """The target in whose memory a tensor lies."""
        memory = self.memory(tensor)
        target: Target | None = None if memory is None else memory.target
        return target

    def is_followed(self, tensor: object) -> bool:
        """Whether the layers record what happens to a tensor; not to a model's real ones."""
        if not isinstance(tensor, Tensor):
            return False
        memory = self.memory(tensor)
        if memory is None:
            return tensor.is_meta and untyped_storage(tensor) is not None
        return is_recorded(memory)

    def ref(self, tensor: Tensor) -> Ref:
        """The tensor's value at this time; of a real one that is not followed, a copy."""
        return self.ref_in(self.memory(tensor), tensor)

    def ref_in(self, memory: Memory | None, tensor: Tensor) -> Ref:
        """The value of a tensor that lies in this memory; see :meth:`ref`."""
        if not (tensor.is_meta if memory is None else is_recorded(memory)):
            with self.ignoring():
                values = tensor.detach().clone(memory_format=torch.contiguous_format)
            whole = view_of(values)
            copied = Memory(values.untyped_storage(), values.dtype, whole)
            copied.events.append(Event(self.now(), self.copy(values), whole, None, self.origin))
            return Ref(copied, self.now(), whole, values.dtype)
        if is_lazy_view(tensor):
            return self._resolved(memory, tensor)
        return Ref(memory or self.follow(tensor), self.now(), view_of(tensor), tensor.dtype)

    def _resolved(self, memory: Memory | None, tensor: Tensor) -> Ref:
        """The value of a lazily conjugated or negated view, computed as an operation."""
        conjugate = tensor.is_conj()
        with self.ignoring():
            plain = tensor.conj() if conjugate else torch._neg_view(tensor)
            made = torch.empty(plain.shape, dtype=plain.dtype, device="meta")
        func = torch.ops.aten._conj_physical if conjugate else torch.ops.aten.neg
        view, made_by = view_of(made), self.ref_in(memory, plain)
        result = Ref(self.follow(made), self.now(), view, made.dtype)
        self.wrote(Operation(func.default, (made_by,), {}, [result], []), [result])
        return result._replace(time=self.now())

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
        """Record that ``recipe`` is written to ``tensor``."""
        memory = self.follow(tensor)
        if not is_dtensor(tensor):  # one that has values, which it keeps
            check_writable(tensor)
        if recipe.is_random and tensor.dtype not in DTYPES:
            with self.ignoring():
                check_random_dtype(tensor, recipe)
        if memory.target is not None and memory.target.shadow is None:
            memory.target.stale = True
            return
        if tensor.dtype != memory.dtype:
            raise self.refuse(
                f"through a view of dtype {dtype_name(tensor)}; write it in its own dtype",
                memory.target,
            )
        memory.events.append(Event(self.now(), recipe, view_of(tensor), key, self.origin))

    def write_again(self, memory: Memory, asked: Asked) -> None:
        """Record what a call wrote that is known."""
        memory.events.append(Event(self.now(), asked.recipe, asked.view, None, self.origin))

    def wrote(self, operation: Operation, outputs: list[Ref]) -> None:
        """Record that an operation wrote these places."""
        time = self.now()
        for memory, _, view, dtype in outputs:
            if dtype != memory.dtype:
                view = View((memory.numel,), (1,), 0)
            memory.events.append(Event(time, operation, view, None, self.origin))

    def copy(self, source: Tensor) -> Copy:
        """The recipe of a real tensor's values, which are kept."""
        with self.ignoring():
            values = source.detach().clone(memory_format=torch.contiguous_format)
            data = values.cpu().reshape(-1).view(torch.uint8).numpy()
        digest = hashlib.blake2b(data.tobytes(), digest_size=16).hexdigest()
        self.sources[digest] = values
        return Copy(tuple(source.shape), dtype_name(source), digest)


def is_lazy_view(tensor: Tensor) -> bool:
    """Whether the values are the conjugates or negatives of those in memory."""
    return tensor.is_conj() or tensor.is_neg()


def is_recorded(memory: Memory) -> bool:
    """Whether writes to a followed memory are recorded; not to that of a model's real tensors."""
    return memory.target is None or memory.target.shadow is not None
