"""Values that a tensor is given by operations of torch, as a program without torch in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from tritoninit.plan.entries import Scalar, View, Write
from tritoninit.recipe import Recipe
from tritoninit.stream import Key


@dataclass(frozen=True, slots=True)
class Operand:
    """A strided view of one of the program's buffers, read as ``dtype``."""

    buffer: int
    dtype: str
    view: View


@dataclass(frozen=True, slots=True)
class Symbol:
    """A dtype, memory format or layout of torch, by name."""

    name: str


Argument = Union[Scalar, Operand, Symbol, "tuple[Argument, ...]"]


@dataclass(frozen=True, slots=True)
class Call:
    """An operation of torch on buffers, run on the CPU.

    ``op`` is torch's name with its overload (``pow.Scalar``).  Results that are new tensors are
    copied to ``results``; None stands for one that is not, such as an argument written in
    place.  With a ``key`` the operation draws from torch's CPU generator, seeded with the
    key's first 64-bit word: its values are torch's, and not those of the stream.
    """

    op: str
    args: tuple[Argument, ...]
    kwargs: tuple[tuple[str, Argument], ...]
    results: tuple[Operand | None, ...]
    key: Key | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A write to a buffer."""

    place: Operand
    write: Write


@dataclass(frozen=True, slots=True)
class Compute(Recipe):
    """The values of ``result`` once the steps have run in order, on the CPU and as a whole.

    ``buffers`` are (dtype, elements) each.  The values are cast to the dtype and broadcast, as
    those of a Copy are.
    """

    buffers: tuple[tuple[str, int], ...]
    steps: tuple[Call | Step, ...]
    result: Operand

    def __str__(self) -> str:
        parts = []
        for step in self.steps:
            if isinstance(step, Step):
                parts.append(str(step.write.recipe))
            else:
                drawn = "torch's generator: " if step.key else ""
                parts.append(drawn + step.op.partition(".")[0])
        return f"computed({', '.join(parts)})"

    @property
    def is_random(self) -> bool:
        """False: the keys are those of the steps."""
        return False
