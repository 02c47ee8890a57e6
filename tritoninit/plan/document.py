"""A plan as JSON, and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar

from tritoninit.plan.compute import Call, Compute, Operand, Step, Symbol
from tritoninit.plan.entries import Apply, Copy, Fill, View, Write
from tritoninit.recipe import (
    Constant,
    Dirac,
    Eye,
    Normal,
    Orthogonal,
    Recipe,
    Sparse,
    TruncNormal,
    Uniform,
)
from tritoninit.sharding import Sharding, Split
from tritoninit.stream import Key

F = TypeVar("F", bound=Fill)

RECIPES: dict[str, type[Recipe]] = {
    cls.__name__: cls
    for cls in (
        *(Uniform, Normal, TruncNormal, Constant, Eye, Dirac, Sparse, Orthogonal),
        *(Copy, Apply, Compute),
    )
}
UNCHANGED = frozenset({str, int, bool, type(None)})
PARTS: dict[str, type] = {cls.__name__: cls for cls in (Call, Operand, Step, Symbol)}


def encoded(value: Any) -> Any:
    """JSON of a value; numbers that JSON lacks become objects with one entry."""
    kind: type = type(value)
    if kind in UNCHANGED:
        return value
    if isinstance(value, Key):
        return [value.seed, value.offset]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if isinstance(value, complex):
        return {"complex": [encoded(value.real), encoded(value.imag)]}
    if isinstance(value, tuple):
        return [encoded(item) for item in value]  # a Split too: [dim, factor]
    if isinstance(value, Recipe):
        arguments = {name: encoded(getattr(value, name)) for name in _fields(kind)}
        return {"recipe": kind.__name__, **arguments}
    if kind in PARTS.values():
        parts = {name: encoded(getattr(value, name)) for name in _fields(kind)}
        return {"part": kind.__name__, **parts}
    if is_dataclass(value):
        return {name: encoded(getattr(value, name)) for name in _fields(kind)}
    return value


@cache
def _fields(kind: type) -> tuple[str, ...]:
    """The names of a dataclass's fields."""
    return tuple(f.name for f in fields(kind))


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_decoded(item) for item in value)
    if isinstance(value, dict):
        if "part" in value:
            return _part(value)
        if "float" in value:
            return float(value["float"])
        real, imaginary = value["complex"]
        return complex(_decoded(real), _decoded(imaginary))
    return value


def _part(entry: dict[str, Any]) -> Any:
    """A piece of a Compute."""
    readers: dict[str, Callable[[Any], Any]] = {"view": _view, "write": _write, "key": _key}
    part = PARTS[entry["part"]]
    given = {f.name: readers.get(f.name, _decoded)(entry[f.name]) for f in fields(part)}
    return part(**given)


def _view(entry: dict[str, Any] | None) -> View | None:
    if entry is None:
        return None
    return View(**{name: _decoded(value) for name, value in entry.items()})


def _key(pair: list[int] | None) -> Key | None:
    return None if pair is None else key_of(pair)


def key_of(pair: list[int]) -> Key:
    """The key of a pair of words."""
    return Key(*pair)


def _write(entry: dict[str, Any]) -> Write:
    arguments = {name: _decoded(value) for name, value in entry["recipe"].items()}
    recipe = RECIPES[arguments.pop("recipe")](**arguments)
    return Write(recipe, _view(entry["view"]), entry["draw"], _key(entry["key"]))


def _sharding(entry: dict[str, Any] | None) -> Sharding | None:
    if entry is None:
        return None
    arguments = {name: _decoded(value) for name, value in entry.items()}
    splits = (None if pair is None else Split(*pair) for pair in arguments.pop("placements"))
    return Sharding(placements=tuple(splits), **arguments)


def fill_of(entry: dict[str, Any], made: type[F]) -> F:
    """The fill, or the tensor that is left, that ``encoded`` encoded."""
    arguments = {name: _decoded(entry[name]) for name in entry.keys() - {"writes", "sharding"}}
    writes = tuple(map(_write, entry["writes"]))
    return made(**arguments, writes=writes, sharding=_sharding(entry["sharding"]))
