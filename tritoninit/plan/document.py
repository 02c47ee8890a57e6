"""A plan as JSON; ``reading.py`` reads it back."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from tritoninit.plan.compute import Call, Operand, Step, Symbol
from tritoninit.recipe import Recipe
from tritoninit.stream import Key

UNCHANGED = frozenset({str, int, bool, type(None)})
PARTS = (Call, Operand, Step, Symbol)


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
    if kind in PARTS:
        parts = {name: encoded(getattr(value, name)) for name in _fields(kind)}
        return {"part": kind.__name__, **parts}
    if is_dataclass(value):
        return {name: encoded(getattr(value, name)) for name in _fields(kind)}
    return value


@cache
def _fields(kind: type) -> tuple[str, ...]:
    """The names of a dataclass's fields."""
    return tuple(f.name for f in fields(kind))
