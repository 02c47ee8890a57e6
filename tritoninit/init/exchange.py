"""Exchanging the code of functions, and putting it back.

The code is exchanged, not the name: every reference to the function sees it, be it imported by
name, kept in a table, bound in a ``functools.partial`` or called by a deprecated alias.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any, NamedTuple

Function = Callable[..., Any]
Replace = Callable[[Function], Function]  # from what was there before to what is called instead


class _Exchanged(NamedTuple):
    """A function as it was, and what replaces it, the latest last."""

    original: FunctionType
    layers: list[Replace]


_lock = threading.Lock()
_exchanged: dict[FunctionType, _Exchanged] = {}


@contextmanager
def exchanged(replacements: Iterable[tuple[Any, Replace]]) -> Iterator[None]:
    """Call ``replace(function)`` in the place of each function.

    Exchanges of one function lie on top of one another, and may end in any order.
    """
    entered: list[tuple[FunctionType, Replace]] = []
    try:
        with _lock:
            for function, replace in replacements:
                entry = _exchanged.setdefault(function, _Exchanged(_copy_of(function), []))
                entry.layers.append(replace)
                entered.append((function, replace))
                _install(function)
        yield
    finally:
        with _lock:
            for function, replace in entered:
                _exchanged[function].layers.remove(replace)
                _install(function)


def untouched(function: Function) -> Function:
    """The function as it was before any exchange."""
    entry = _exchanged.get(function)  # type: ignore[call-overload]
    return entry.original if entry is not None else function


def _install(function: FunctionType) -> None:
    original, layers = _exchanged[function]
    if not layers:
        del function.__signature__  # type: ignore[attr-defined]
        function.__code__ = original.__code__
        function.__kwdefaults__ = original.__kwdefaults__
        del _exchanged[function]
        return
    called: Function = original
    for replace in layers:
        called = replace(called)
    function.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
    function.__kwdefaults__ = {"_to": called}
    function.__code__ = _trampoline.__code__


def _trampoline(*args: Any, _to: Function, **kwargs: Any) -> Any:
    return _to(*args, **kwargs)


def _copy_of(function: FunctionType) -> FunctionType:
    copied = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copied.__kwdefaults__ = function.__kwdefaults__
    copied.__annotations__ = function.__annotations__
    return copied
