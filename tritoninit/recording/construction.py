"""Recording constructors: what they did to the tensors of the modules that they made."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from tritoninit.recording.calls import intercepted, note_silent_writes
from tritoninit.recording.initialise import OWN, WHOLE
from tritoninit.recording.literals import LiteralMode
from tritoninit.recording.operations import OperationMode
from tritoninit.recording.recorder import Recorder
from tritoninit.recording.targets import TABLES, Target, make_shadow
from tritoninit.recording.trace import Ref, view_of

NAMED = frozenset({"__init__", *OWN, *WHOLE})


class Held(NamedTuple):
    """What a module's tensor was at the end of the record, and its version counter then.

    ``tensor`` shares the counter, whatever became of the tensor since.
    """

    value: Ref
    version: int
    tensor: Tensor


class Construction(Recorder):
    """What constructors did.  ``held`` says what each module's tensors were at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.modules: weakref.WeakSet[nn.Module] = weakref.WeakSet()
        self.held: weakref.WeakKeyDictionary[nn.Module, dict[tuple[str, str], Held]] = (
            weakref.WeakKeyDictionary()
        )
        self.ran: set[tuple[type, str]] = set()

    @property
    def origin(self) -> str:
        """The method of a module that runs now; notes which whole-model init code is running."""
        found = ""
        frame = sys._getframe(1)
        while frame is not None:
            code = frame.f_code
            if code.co_name in NAMED and code.co_argcount and (not found or code.co_name in WHOLE):
                module = frame.f_locals.get(code.co_varnames[0])
                if isinstance(module, nn.Module):
                    found = found or f"{code.co_name} of {type(module).__name__}"
                    if code.co_name in WHOLE:
                        self.ran.add((type(module), code.co_name))
            frame = frame.f_back  # type: ignore[assignment]
        return found or "record()"

    def finish(self) -> None:
        """Note what every module holds, and put on meta what escaped it."""
        escaped: dict[int, Tensor] = {}
        every: set[nn.Module] = set()
        for top in list(self.modules):
            every.update(() if top in every else top.modules())
        for module in every:
            held = self.held[module] = {}
            for kind, table in TABLES.items():
                for key, tensor in getattr(module, table).items():
                    if not self.is_followed(tensor):
                        continue
                    memory = self.follow(tensor)
                    value = Ref(memory, self.now(), view_of(tensor), tensor.dtype)
                    if not tensor.is_meta:
                        tensor = escaped.setdefault(id(tensor), make_shadow(tensor))
                        getattr(module, table)[key] = tensor
                    held[kind, key] = Held(value, _version(tensor), tensor.detach())
            _built[module] = self

    def value_of(self, target: Target) -> Ref | None:
        """What the constructors gave to a tensor, which may have been replaced since."""
        memory = None if target.is_sharded else self.memory(target.tensor)
        if memory is not None:
            return Ref(memory, self.now(), view_of(target.tensor), target.tensor.dtype)
        for slot in target.slots:
            held = self.held.get(slot.module, {}).get((target.kind, slot.key))
            if held is not None and held.value.view.shape == tuple(target.tensor.shape):
                return held.value
        return None

    def is_outdated(self, target: Target) -> bool:
        """Whether something wrote to the tensor, or to the one it was made from, after the end.

        A write through ``.data`` has a version counter of its own and is not seen.
        """
        slots = (self.held.get(s.module, {}).get((target.kind, s.key)) for s in target.slots)
        found = [held for held in slots if held is not None]
        if any(_version(held.tensor) != held.version for held in found):
            return True
        if target.is_sharded:
            return bool(found) and target.tensor._version > 0  # none of those who shard writes
        versions = [held.version for held in found]
        recorded = self.memory(target.tensor) is not None
        return recorded and bool(found) and _version(target.tensor) not in versions


def _version(tensor: Tensor) -> int:
    """The tensor's version counter; an inference tensor has none."""
    return 0 if tensor.is_inference() else tensor._version


_built: weakref.WeakKeyDictionary[nn.Module, Construction] = weakref.WeakKeyDictionary()
_active = threading.local()  # another thread's record() would not see this one's constructors


def constructions_of(model: nn.Module) -> list[Construction]:
    """The recordings in which the model's modules were built."""
    found = {id(c): c for m in model.modules() if (c := _built.get(m)) is not None}
    return list(found.values())


def is_recording() -> bool:
    """Whether a ``record()`` of this thread is open."""
    return bool(getattr(_active, "is_open", False))


@contextmanager
def record_construction() -> Iterator[None]:
    """See :func:`tritoninit.record`."""
    if is_recording():
        yield  # the outer one sees everything
        return
    note_silent_writes()
    construction = Construction()

    def registered(module: nn.Module, *_: Any) -> None:
        construction.modules.add(module)

    with ExitStack() as stack:
        for hook in (
            hooks.register_module_parameter_registration_hook,
            hooks.register_module_buffer_registration_hook,
            hooks.register_module_module_registration_hook,
        ):
            stack.callback(hook(registered).remove)
        stack.enter_context(intercepted(construction))
        stack.enter_context(torch.device("meta"))
        stack.enter_context(LiteralMode(construction))
        stack.enter_context(OperationMode(construction))
        _active.is_open = True
        stack.callback(setattr, _active, "is_open", False)
        yield
    if construction.failure is not None:
        raise construction.failure
    construction.finish()
