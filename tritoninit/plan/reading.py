"""A plan's JSON read back: every field is there, known and of its type, or an error names it.

How a field is read follows from its annotation, so a new field of an entry needs nothing here
unless its type is a new one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from typing import Any, NoReturn

from tritoninit.plan.compute import Call, Compute, Operand, Step, Symbol
from tritoninit.plan.entries import Apply, Copy, Fill, Left, View, Write
from tritoninit.recipe import (
    Constant,
    Dirac,
    Eye,
    Normal,
    Orthogonal,
    Sparse,
    TruncNormal,
    Uniform,
)
from tritoninit.sharding import Sharding, Split
from tritoninit.stream import STREAM_VERSION, Key

Reader = Callable[[Any, str], Any]  # of a value of JSON, and of where in the plan it is

RECIPES: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        *(Uniform, Normal, TruncNormal, Constant, Eye, Dirac, Sparse, Orthogonal),
        *(Copy, Apply, Compute),
    )
}
SHOWN = 60  # characters of a wrong value in an error


def read(text: str) -> tuple[Key, tuple[Fill, ...], tuple[Left, ...]]:
    """Key, fills and tensors left on meta of the plan that ``Plan.to_json`` wrote.

    Raises:
        ValueError: the text is no JSON, or of another version of the stream, or a field is
            missing, unknown or not of its type; the message names the field.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"a plan must be JSON: {error}") from error
    if not isinstance(document, dict):
        _refuse("a plan", "an object of JSON", document)
    if "stream_version" not in document:
        raise ValueError("a plan must have a field 'stream_version', this one lacks it")
    version = _integer(document["stream_version"], "stream_version")
    if version != STREAM_VERSION:
        raise ValueError(f"the plan is of stream version {version}, this is {STREAM_VERSION}")
    readers = {
        "stream_version": _integer,
        "key": _key,
        "fills": _sequence(_object(Fill)),
        "left": _sequence(_object(Left)),
    }
    found = _fields(document, "a plan", readers, {name: name for name in readers})
    return found["key"], found["fills"], found["left"]


def _refuse(place: str, expected: str, value: Any) -> NoReturn:
    shown = json.dumps(value)
    shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}..."
    raise ValueError(f"{place} must be {expected}, got {shown}")


def _fields(
    entry: dict[str, Any], place: str, readers: dict[str, Reader], places: dict[str, str]
) -> dict[str, Any]:
    missing = [name for name in readers if name not in entry]
    unknown = [name for name in entry if name not in readers]
    if missing or unknown:
        wrong = f"lacks {missing}" if missing else f"has {unknown}"
        raise ValueError(f"{place} must have the fields {[*readers]}, this one {wrong}")
    return {name: reader(entry[name], places[name]) for name, reader in readers.items()}


def _integer(value: Any, place: str) -> int:
    if type(value) is not int:
        _refuse(place, "an integer", value)
    return value


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        _refuse(place, "a string", value)
    return value


def _number(value: Any, place: str) -> int | float:
    """JSON has no infinities and no NaN: they are {"float": "inf"}."""
    if type(value) in (int, float):
        return value  # type: ignore[no-any-return]
    if isinstance(value, dict) and [*value] == ["float"] and isinstance(value["float"], str):
        try:
            return float(value["float"])
        except ValueError:
            pass
    _refuse(place, 'a number or {"float": "inf", "-inf" or "nan"}', value)


def _complex(value: Any, place: str) -> bool | int | float | complex:
    if isinstance(value, bool):
        return value
    if isinstance(value, dict) and [*value] == ["complex"]:
        real, imaginary = _fixed(_number, _number)(value["complex"], f"{place}.complex")
        return complex(real, imaginary)
    return _number(value, place)


def _scalar(value: Any, place: str) -> Any:
    return value if value is None or isinstance(value, str) else _complex(value, place)


def _argument(value: Any, place: str) -> Any:
    if isinstance(value, list):
        return _sequence(_argument)(value, place)
    if isinstance(value, dict) and "part" in value:
        return _tagged("part", Operand, Symbol)(value, place)
    return _scalar(value, place)


def _key(value: Any, place: str) -> Key:
    seed, offset = _fixed(_integer, _integer)(value, place)
    key: Key = _made(place, lambda: Key(seed, offset))
    return key


def _split(value: Any, place: str) -> Split:
    return Split(*_fixed(_integer, _integer)(value, place))


def _sequence(item: Reader) -> Reader:
    def read(value: Any, place: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            _refuse(place, "a list", value)
        return tuple(item(entry, f"{place}[{i}]") for i, entry in enumerate(value))

    return read


def _fixed(*items: Reader) -> Reader:
    def read(value: Any, place: str) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) != len(items):
            _refuse(place, f"a list of {len(items)}", value)
        return tuple(item(value[i], f"{place}[{i}]") for i, item in enumerate(items))

    return read


def _optional(reader: Reader) -> Reader:
    return lambda value, place: None if value is None else reader(value, place)


def _made(place: str, make: Callable[[], Any]) -> Any:
    """What ``make`` makes; what it refuses is wrong at this place."""
    try:
        return make()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{place}: {error}") from error


def _object(cls: type, tag: str | None = None) -> Reader:
    """Of an object with a class's fields, and the class's name under ``tag``."""

    def read(value: Any, place: str) -> Any:
        if not isinstance(value, dict):
            _refuse(place, "an object of JSON", value)
        readers = {field.name: _reader(str(field.type)) for field in fields(cls)}
        given = {name: entry for name, entry in value.items() if name != tag}
        places = {name: f"{place}.{name}" for name in readers}
        found = _fields(given, place, readers, places)
        return _made(place, lambda: cls(**found))

    return read


def _tagged(tag: str, *classes: type) -> Reader:
    """Of one of these classes, which the object names."""
    known = {cls.__name__: cls for cls in classes}

    def read(value: Any, place: str) -> Any:
        name = value.get(tag) if isinstance(value, dict) else None
        if not isinstance(name, str) or name not in known:
            _refuse(place, f"an object of JSON whose {tag!r} is one of {[*known]}", value)
        return _object(known[name], tag)(value, place)

    return read


@cache
def _reader(annotation: str) -> Reader:
    """How values of a field with this annotation are read."""
    if annotation.endswith(" | None"):
        return _optional(_reader(annotation.removesuffix(" | None")))
    if annotation.startswith("tuple["):
        items = annotation.removeprefix("tuple[").removesuffix("]")
        if items.endswith(", ..."):
            return _sequence(_reader(items.removesuffix(", ...")))
        return _fixed(*map(_reader, items.split(", ")))
    return READERS[annotation]


READERS: dict[str, Reader] = {
    "int": _integer,
    "str": _text,
    "float": _number,
    "complex": _complex,
    "Shape": _sequence(_integer),
    "Scalar": _scalar,
    "Argument": _argument,
    "Key": _key,
    "Split": _split,
    "View": _object(View),
    "Write": _object(Write),
    "Sharding": _object(Sharding),
    "Recipe": _tagged("recipe", *RECIPES.values()),
    "Operand": _tagged("part", Operand),
    "Call | Step": _tagged("part", Call, Step),
}
