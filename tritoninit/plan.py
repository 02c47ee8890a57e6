"""What will be written where: the plan of a model's initial values, with no torch in it.

A plan can be printed, compared, stored and read back without a tensor, a device or memory.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

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
from tritoninit.region import Shape
from tritoninit.stream import STREAM_VERSION, Key

Scalar = bool | int | float | complex | str | None


@dataclass(frozen=True, slots=True)
class Copy(Recipe):
    """The values of a tensor that init code computed, cast to the dtype and broadcast.

    ``digest`` is the BLAKE2b hash (16 bytes, hexadecimal) of the source's row-major bytes.
    """

    shape: Shape
    dtype: str
    digest: str

    def __str__(self) -> str:
        return f"copy({self.dtype}{list(self.shape)}, {self.digest[:8]})"

    @property
    def is_random(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Apply(Recipe):
    """A deterministic in-place operation on what is there, such as ``mul_(2.0)``.

    ``op`` is torch's name with its overload (``mul_.Tensor``); the arguments are scalars.
    """

    op: str
    args: tuple[Scalar, ...]
    kwargs: tuple[tuple[str, Scalar], ...] = ()

    def __str__(self) -> str:
        named = (f"{name}={value}" for name, value in self.kwargs)
        return f"{self.op.partition('.')[0]}({', '.join([*map(str, self.args), *named])})"

    @property
    def is_random(self) -> bool:
        return False


RECIPES: dict[str, type[Recipe]] = {
    cls.__name__: cls
    for cls in (
        *(Uniform, Normal, TruncNormal, Constant, Eye, Dirac, Sparse, Orthogonal),
        *(Copy, Apply),
    )
}


@dataclass(frozen=True, slots=True)
class View:
    """A strided view of a tensor's memory; strides and offset in elements."""

    shape: Shape
    strides: Shape
    offset: int

    def __str__(self) -> str:
        return f"on {list(self.shape)} at {self.offset} by {list(self.strides)}"


@dataclass(frozen=True, slots=True)
class Write:
    """One recipe written to a tensor, or to the part of it that ``view`` describes.

    ``draw`` counts the random writes of the tensor from 0 and ``key`` is where their values
    begin in the stream; both are None where nothing is drawn.  Values are indexed row-major
    in the view.
    """

    recipe: Recipe
    view: View | None = None
    draw: int | None = None
    key: Key | None = None

    def __str__(self) -> str:
        return f"{self.recipe}" if self.view is None else f"{self.recipe} {self.view}"


@dataclass(frozen=True, slots=True)
class Fill:
    """All that is written to one tensor, in order.

    ``name`` is the first name the model gives the tensor, ``aliases`` the others it is tied to;
    ``origin`` says which code asked for the values.
    """

    name: str
    aliases: tuple[str, ...]
    kind: str
    shape: Shape
    strides: Shape
    dtype: str
    itemsize: int
    writes: tuple[Write, ...]
    origin: str

    @property
    def numel(self) -> int:
        """Elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the elements."""
        return self.numel * self.itemsize

    @property
    def recipe(self) -> str:
        """The writes, as text."""
        return ", ".join(map(str, self.writes))

    @property
    def std(self) -> float | None:
        """The expected standard deviation; None where it is not known from one recipe alone."""
        if len(self.writes) != 1:
            return None
        (write,) = self.writes
        if isinstance(write.recipe, Copy | Apply):
            return None
        return write.recipe.expected_std(self.shape if write.view is None else write.view.shape)


@dataclass(frozen=True, slots=True)
class Plan:
    """The fills of a model, in the order of its parameters and then its buffers.

    ``str(plan)`` is a table: name, shape, dtype, recipe, expected standard deviation, bytes.
    """

    key: Key
    fills: tuple[Fill, ...]

    @property
    def numel(self) -> int:
        """Elements in all."""
        return sum(fill.numel for fill in self.fills)

    @property
    def nbytes(self) -> int:
        """Bytes in all."""
        return sum(fill.nbytes for fill in self.fills)

    def __str__(self) -> str:
        rows = [HEADINGS, *(table_row(fill) for fill in self.fills)]
        return "\n".join([*_aligned(rows), self.totals()])

    def totals(self) -> str:
        """One line: how many tensors, elements and bytes, and the key."""
        noun = "tensor" if len(self.fills) == 1 else "tensors"
        return (
            f"{len(self.fills)} {noun}, {self.numel:,} elements, {readable_bytes(self.nbytes)},"
            f" {self.key}, stream version {STREAM_VERSION}"
        )

    def to_json(self) -> str:
        """The plan as JSON; :meth:`from_json` reads it back."""
        document = {"stream_version": STREAM_VERSION, **_encoded(self)}
        return json.dumps(document, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan that :meth:`to_json` wrote.

        Raises:
            ValueError: the plan was made with another version of the stream.
        """
        document = json.loads(text)
        version = document["stream_version"]
        if version != STREAM_VERSION:
            raise ValueError(f"the plan is of stream version {version}, this is {STREAM_VERSION}")
        return cls(_key(document["key"]), tuple(map(_fill, document["fills"])))


HEADINGS = ("name", "shape", "dtype", "recipe", "std", "bytes")


def table_row(fill: Fill) -> tuple[str, ...]:
    """The cells of a fill's row in the table."""
    name = " = ".join((fill.name, *fill.aliases))
    std = "-" if fill.std is None else f"{fill.std:.6g}"
    return name, str(list(fill.shape)), fill.dtype, fill.recipe, std, f"{fill.nbytes:,}"


def readable_bytes(count: int) -> str:
    """A number of bytes with a binary unit."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count} bytes"


def _aligned(rows: list[tuple[str, ...]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-2], widths, strict=False)]
        cells += [cell.rjust(width) for cell, width in zip(row[-2:], widths[-2:], strict=True)]
        yield "  ".join(cells)


def _encoded(value: Any) -> Any:
    """JSON of a value; numbers that JSON lacks become objects with one entry."""
    if isinstance(value, Key):
        return [value.seed, value.offset]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if isinstance(value, complex):
        return {"complex": [_encoded(value.real), _encoded(value.imag)]}
    if isinstance(value, tuple):
        return [_encoded(item) for item in value]
    if isinstance(value, Recipe):
        arguments = {f.name: _encoded(getattr(value, f.name)) for f in fields(value)}
        return {"recipe": type(value).__name__, **arguments}
    if isinstance(value, Plan | Fill | Write | View):
        return {f.name: _encoded(getattr(value, f.name)) for f in fields(value)}
    return value


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_decoded(item) for item in value)
    if isinstance(value, dict):
        if "float" in value:
            return float(value["float"])
        real, imaginary = value["complex"]
        return complex(_decoded(real), _decoded(imaginary))
    return value


def _key(pair: list[int]) -> Key:
    return Key(*pair)


def _write(entry: dict[str, Any]) -> Write:
    arguments = {name: _decoded(value) for name, value in entry["recipe"].items()}
    recipe = RECIPES[arguments.pop("recipe")](**arguments)
    view = entry["view"]
    if view is not None:
        view = View(**{name: _decoded(value) for name, value in view.items()})
    key = None if entry["key"] is None else _key(entry["key"])
    return Write(recipe, view, entry["draw"], key)


def _fill(entry: dict[str, Any]) -> Fill:
    arguments = {name: _decoded(value) for name, value in entry.items() if name != "writes"}
    return Fill(**arguments, writes=tuple(map(_write, entry["writes"])))
