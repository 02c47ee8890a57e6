"""The entries of a plan: what is written to each tensor, and where in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tritoninit.recipe import Recipe
from tritoninit.region import Shape
from tritoninit.sharding import Sharding
from tritoninit.stream import Key

SKIPPED = "skipped"  # the origin of a tensor that the caller leaves out

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
    ``origin`` says which code asked for the values.  Shape, strides and bytes are the whole
    tensor's; ``sharding`` says how it lies on a device mesh, None that every rank holds it all.
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
    sharding: Sharding | None = None

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
        shape = self.shape if write.view is None else write.view.shape
        try:
            return write.recipe.expected_std(shape)
        except NotImplementedError:
            return None


@dataclass(frozen=True, slots=True)
class Left(Fill):
    """A tensor that stays on meta; ``origin`` says why."""

    @property
    def recipe(self) -> str:
        """In the place of a recipe."""
        return f"left on meta: {self.origin}"
