"""Recording constructors: what they did to the tensors of the modules that they made."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from tritoninit.recording.calls import intercepted, note_silent_writes
from tritoninit.recording.initialise import OWN, WHOLE
from tritoninit.recording.literals import LiteralMode
from tritoninit.recording.operations import OperationMode
from tritoninit.recording.recorder import Recorder, is_lazy_view
from tritoninit.recording.targets import TABLES, RecordError, Target, make_shadow
from tritoninit.recording.trace import Ref, view_of

TAG = "_tritoninit_recorded"
LOST = "lost"
NAMED = frozenset({"__init__", *OWN, *WHOLE})


class Held(NamedTuple):
    """What a module's tensor was at the end of the record, its id and its version counter then.

    ``tensor`` shares the counter, whatever became of the tensor since.
    """

    value: Ref
    identity: int
    version: int
    tensor: Tensor


class Recorded:
    """What is known of a module, among its attributes, so that a deep copy of it has it too.

    ``held`` says what its tensors were at the end of the record, ``ran`` which whole-model init
    code constructors ran on it.  In a stored module a word is left of it.
    """

    def __init__(self, construction: Construction, ran: Iterable[str] = ()) -> None:
        self.construction = construction
        self.held: dict[tuple[str, str], Held] = {}
        self.ran = set(ran)

    def __deepcopy__(self, _: object) -> Recorded:
        return self

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return str, (LOST,)


def recorded(module: nn.Module) -> Recorded | None:
    """What a record says of a module.

    Raises:
        RecordError: it was recorded, stored and loaded, and still has tensors on meta.
    """
    found: Recorded | str | None = vars(module).get(TAG)
    if not isinstance(found, str):
        return found
    for kind, table in TABLES.items():
        for key, tensor in getattr(module, table).items():
            if tensor is not None and tensor.is_meta:
                raise RecordError(
                    f"{key} ({kind} of {type(module).__name__}) was recorded, and the record is"
                    " not stored with a module; build it under record() again"
                )
    return None


class Construction(Recorder):
    """What constructors did."""

    def __init__(self) -> None:
        super().__init__()
        self.modules: weakref.WeakSet[nn.Module] = weakref.WeakSet()
        self.thread = threading.get_ident()

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
                        tag = vars(module).setdefault(TAG, Recorded(self))
                        tag.ran.add(code.co_name)
            frame = frame.f_back  # type: ignore[assignment]
        return found or "record()"

    def finish(self) -> None:
        """Note what every module holds, and put on meta what escaped it."""
        escaped: dict[int, tuple[Tensor, Tensor]] = {}  # the first keeps its id
        every: set[nn.Module] = set()
        for top in list(self.modules):
            every.update(() if top in every else top.modules())
        for module in every:
            before = recorded(module)
            if before is not None and before.construction is not self:
                self._check_kept(module)
                continue
            tag = vars(module)[TAG] = Recorded(self, before.ran if before else ())
            for kind, table in TABLES.items():
                for key, tensor in getattr(module, table).items():
                    if not self.is_followed(tensor):
                        continue
                    value = self.ref(tensor)
                    if not tensor.is_meta or is_lazy_view(tensor):
                        made = escaped.setdefault(id(tensor), (tensor, make_shadow(tensor)))
                        getattr(module, table)[key] = tensor = made[1]
                    state = id(tensor), _version(tensor), tensor.detach()
                    tag.held[kind, key] = Held(value, *state)

    def _check_kept(self, module: nn.Module) -> None:
        """Raise where a module of an earlier record was written to in this one."""
        for kind, table in TABLES.items():
            for key, tensor in getattr(module, table).items():
                memory = self.memory(tensor)
                if memory is not None and memory.events:
                    raise RecordError(
                        f"{key} ({kind} of {type(module).__name__}), which an earlier record()"
                        " made, was written in a later one; build and write it in one"
                    )

    def value_of(self, target: Target) -> Ref | None:
        """What the constructors gave to a tensor, which may have been replaced since."""
        memory = None if target.is_sharded else self.memory(target.tensor)
        if memory is not None:
            return Ref(memory, self.now(), view_of(target.tensor), target.tensor.dtype)
        for held in self._held(target):
            if held.value.view.shape == tuple(target.tensor.shape):
                return held.value
        return None

    def is_outdated(self, target: Target) -> bool:
        """Whether something wrote to the tensor, or to the one it was made from, after the end.

        A write through ``.data`` has a version counter of its own and is not seen.
        """
        found = self._held(target)
        for held in found:
            if _version(held.tensor) != held.version:
                return True
        for held in found:
            if id(target.tensor) == held.identity and not target.is_sharded:
                return False
        # A shard or a copy begins with 0: those who make one do not write to it.
        return bool(found) and _version(target.tensor) > 0

    def _held(self, target: Target) -> list[Held]:
        """What this record says of the places where modules hold the tensor."""
        found = []
        for module, key in target.slots:
            tag = recorded(module)
            if tag is not None and tag.construction is self:
                held = tag.held.get((target.kind, key))
                if held is not None:
                    found.append(held)
        return found


def _version(tensor: Tensor) -> int:
    """The tensor's version counter; an inference tensor has none."""
    return 0 if tensor.is_inference() else tensor._version


class _Thread(threading.local):
    construction: Construction | None = None  # of the record that is open


_thread = _Thread()


def constructions_of(modules: Iterable[nn.Module]) -> list[Construction]:
    """The recordings in which a model's modules were built."""
    tags = [recorded(module) for module in modules if TAG in vars(module)]
    found = {id(tag.construction): tag.construction for tag in tags if tag is not None}
    return list(found.values())


def already_ran(modules: Iterable[nn.Module]) -> set[tuple[int, str]]:
    """The whole-model init code that constructors ran: (id of the module, method)."""
    tags = ((module, recorded(module)) for module in modules)
    return {(id(module), name) for module, tag in tags if tag is not None for name in tag.ran}


def is_recording() -> bool:
    """Whether a ``record()`` is open in this thread."""
    return _thread.construction is not None


@contextmanager
def record_construction() -> Iterator[None]:
    """See :func:`tritoninit.record`."""
    if is_recording():
        yield  # the outer one sees everything
        return
    note_silent_writes()
    construction = Construction()

    def registered(module: nn.Module, *_: Any) -> None:
        if threading.get_ident() == construction.thread:
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
        _thread.construction = construction
        stack.callback(setattr, _thread, "construction", None)
        yield
    if construction.failure is not None:
        raise construction.failure
    construction.finish()
