"""What will be written where: the plan of a model's initial values, with no torch in it.

A plan can be printed, compared, stored and read back without a tensor, a device or memory.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tritoninit.plan.compute import Argument, Call, Compute, Operand, Step, Symbol
from tritoninit.plan.entries import SKIPPED, Apply, Copy, Fill, Left, View, Write
from tritoninit.plan.table import aligned, headings, print_table, readable_bytes, table_row
from tritoninit.stream import STREAM_VERSION, Key

if TYPE_CHECKING:
    from tritoninit.plan.difference import Difference

__all__ = [
    "SKIPPED",
    "Apply",
    "Argument",
    "Call",
    "Compute",
    "Copy",
    "Fill",
    "Left",
    "Operand",
    "Plan",
    "Step",
    "Symbol",
    "View",
    "Write",
    "headings",
    "print_table",
    "readable_bytes",
    "table_row",
]


@dataclass(frozen=True, slots=True)
class Plan:
    """The fills of a model, in the order of its parameters and then its buffers.

    ``left`` are the tensors that stay on meta.  ``str(plan)`` is a table: name, shape, dtype,
    recipe, expected standard deviation, bytes.
    """

    key: Key
    fills: tuple[Fill, ...]
    left: tuple[Left, ...] = ()

    @property
    def numel(self) -> int:
        """Elements in all."""
        return sum(fill.numel for fill in self.fills)

    @property
    def nbytes(self) -> int:
        """Bytes in all."""
        return sum(fill.nbytes for fill in self.fills)

    def __str__(self) -> str:
        return "\n".join([*aligned(self.rows()), self.totals()])

    def rows(self) -> list[tuple[str, ...]]:
        """The cells of the table; the first row holds the headings."""
        entries = (*self.fills, *self.left)
        sharded = any(entry.sharding for entry in entries)
        return [headings(sharded), *(table_row(entry, sharded) for entry in entries)]

    def totals(self) -> str:
        """One line: how many tensors, elements and bytes, and the key."""
        noun = "tensor" if len(self.fills) == 1 else "tensors"
        left = f", {len(self.left)} left on meta" if self.left else ""
        return (
            f"{len(self.fills)} {noun}, {self.numel:,} elements, {readable_bytes(self.nbytes)}"
            f"{left}, {self.key}, stream version {STREAM_VERSION}"
        )

    def diff(self, other: Plan) -> Difference:
        """What is different in another plan: names that one alone has, and what changed.

        Values are compared through recipes and keys; the code that asked for them is not.
        """
        from tritoninit.plan.difference import difference

        return difference((*self.fills, *self.left), (*other.fills, *other.left))

    def to_json(self) -> str:
        """The plan as JSON; :meth:`from_json` reads it back."""
        from tritoninit.plan.document import encoded

        document = {"stream_version": STREAM_VERSION, **encoded(self)}
        return json.dumps(document, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan that :meth:`to_json` wrote.

        Raises:
            ValueError: the text is no JSON, the plan was made with another version of the
                stream, or a field is missing, unknown or not of its type.
        """
        from tritoninit.plan.reading import read

        return cls(*read(text))
