"""Running a model's own init code, children first."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, NamedTuple

from torch import nn

from tritoninit.recording.recorder import Recorder
from tritoninit.recording.targets import Target

InitFn = Callable[[nn.Module], Any]

OWN = ("reset_parameters", "_reset_parameters")
# transformers has both, and its init_weights() does nothing on meta.
WHOLE = ("initialize_weights", "init_weights")


class Built(NamedTuple):
    """What recorded constructors did: modules that they filled, methods that they ran on them.

    Modules are given by their id.
    """

    filled: set[int]
    ran: set[tuple[int, str]]


def initialise(
    model: nn.Module,
    recorder: Recorder,
    targets: list[Target],
    init_fn: InitFn | None,
    built: Built,
) -> None:
    """Run the init code of every module that holds a tensor on meta, itself or below.

    With ``init_fn``, that function for every module.  Without, ``reset_parameters()`` or
    ``_reset_parameters()`` of every module, children first, and then ``initialize_weights()``
    or ``init_weights()`` of the outermost modules that have it.  Methods that need arguments
    are left out, and so is what constructors did already: the first kind where they filled the
    module's own tensors, the second where they called it.
    """
    concerned = {id(slot.module) for t in targets if t.shadow is not None for slot in t.slots}
    order = _children_first(model)
    for module in order:
        if module._modules and any(id(child) in concerned for child in module._modules.values()):
            concerned.add(id(module))
    own, title = _Methods(OWN), _title(init_fn)
    for module, name in order.items():
        if id(module) not in concerned:
            continue
        if init_fn is not None:
            _run(recorder, name, module, title, partial(init_fn, module))
        elif id(module) not in built.filled and (method := own.of(module)):
            _run(recorder, name, module, method.__name__, method)
    if init_fn is None:
        for module, method in _Methods(WHOLE).outermost(model):
            if id(module) in concerned and (id(module), method.__name__) not in built.ran:
                _run(recorder, order[module], module, method.__name__, method)


def _children_first(model: nn.Module) -> dict[nn.Module, str]:
    """Every module after those below it, under the name that the model gives it first."""
    found: list[tuple[str, nn.Module]] = []
    left = [("", model)]
    while left:  # parents first and from the last child on: the reverse of what is asked for
        path = left.pop()
        found.append(path)
        if children := path[1]._modules:
            begin = f"{path[0]}." if path[0] else ""
            left += [(begin + key, child) for key, child in children.items() if child is not None]
    order: dict[nn.Module, str] = {}
    for name, module in reversed(found):
        order.setdefault(module, name)
    return order


class _Methods:
    """Modules' own init code under one of two names; each class is looked at once.

    Wrappers (activation checkpointing, torch.compile) pass on what they wrap has.
    """

    def __init__(self, names: tuple[str, str]) -> None:
        self.names = names
        self.inherited: dict[type[nn.Module], frozenset[str]] = {}

    def of(self, module: nn.Module) -> Callable[[], Any] | None:
        """The first of these methods that the module has and that needs no argument."""
        kind, names, held = type(module), self.names, module.__dict__
        inherited = self.inherited.get(kind)
        if inherited is None:
            found = frozenset(name for name in names if hasattr(kind, name))
            inherited = self.inherited[kind] = found
        if not (inherited or names[0] in held or names[1] in held):
            return None
        for name in names:
            if name not in inherited and name not in held:
                continue
            method: Callable[[], Any] = getattr(module, name)
            if callable(method) and _runs_alone(*_unbound(method)):
                return method
        return None

    def outermost(self, model: nn.Module) -> Iterator[tuple[nn.Module, Callable[[], Any]]]:
        """The init code of the outermost modules that have it."""
        left = [model]
        while left:
            module = left.pop()
            if method := self.of(module):
                yield module, method
            elif module._modules:
                left += reversed(list(module.children()))


def _unbound(method: Callable[..., Any]) -> tuple[Callable[..., Any], int]:
    """The function of a method, and how many arguments are bound to it."""
    function = getattr(method, "__func__", None)
    return (method, 0) if function is None else (function, 1)


@lru_cache(maxsize=1024)  # a model has many modules of few classes
def _runs_alone(function: Callable[..., Any], bound: int) -> bool:
    parameters = list(inspect.signature(function).parameters.values())[bound:]
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return all(p.default is not p.empty or p.kind in variadic for p in parameters)


def _title(function: object) -> str:
    return str(getattr(function, "__name__", None) or type(function).__name__)


def _run(
    recorder: Recorder, name: str, module: nn.Module, title: str, code: Callable[[], Any]
) -> None:
    origin = f"{title} of {name or 'the model'} ({type(module).__name__})"
    before, recorder.running = recorder.running, origin
    try:
        code()
    except Exception as error:
        if sys.version_info >= (3, 11):
            error.add_note(f"while tritoninit ran {origin} on meta tensors")
        raise
    finally:
        recorder.running = before
    if recorder.failure is not None:
        raise recorder.failure
