"""A plan as JSON; ``reading.py`` reads it back."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import Any

from tritoninit.plan.compute import Call, Operand, Step, Symbol
from tritoninit.recipe import Recipe
from tritoninit.stream import Key

PARTS = (Call, Operand, Step, Symbol)


def encoded(value: Any) -> Any:
    """JSON of a value; numbers that JSON lacks become objects with one entry."""
    if isinstance(value, Key):
        return [value.seed, value.offset]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if isinstance(value, complex):
        return {"complex": [encoded(value.real), encoded(value.imag)]}
    if isinstance(value, tuple):
        return [encoded(item) for item in value]  # a Split too: [dim, factor]
    if isinstance(value, Recipe):
        arguments = {f.name: encoded(getattr(value, f.name)) for f in fields(value)}
        return {"recipe": type(value).__name__, **arguments}
    if type(value) in PARTS:
        parts = {f.name: encoded(getattr(value, f.name)) for f in fields(value)}
        return {"part": type(value).__name__, **parts}
    if is_dataclass(value):
        return {f.name: encoded(getattr(value, f.name)) for f in fields(value)}
    return value
