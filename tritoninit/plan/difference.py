"""What is different between two plans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from tritoninit.plan.entries import Fill

# What is compared: all of an entry but the code that asked for the values.
FIELDS = ("kind", "shape", "strides", "dtype", "aliases", "sharding")


class Change(NamedTuple):
    """One property of a tensor, in the first plan and in the second."""

    what: str
    here: Any
    there: Any

    def __str__(self) -> str:
        return f"{self.what} {_shown(self.here)}, there {_shown(self.there)}"


@dataclass(frozen=True)
class Difference:
    """The names that one plan alone has, and the changes of those that both have.

    It is true where the plans differ.
    """

    only_here: tuple[str, ...]
    only_there: tuple[str, ...]
    changed: dict[str, tuple[Change, ...]]

    def __bool__(self) -> bool:
        return bool(self.only_here or self.only_there or self.changed)

    def __str__(self) -> str:
        if not self:
            return "no difference"
        lines = [f"only here: {name}" for name in self.only_here]
        lines += [f"only there: {name}" for name in self.only_there]
        lines += [f"{name}: {'; '.join(map(str, made))}" for name, made in self.changed.items()]
        return "\n".join(lines)


def difference(here: tuple[Fill, ...], there: tuple[Fill, ...]) -> Difference:
    """Compare the entries of two plans by name."""
    mine = {fill.name: fill for fill in here}
    theirs = {fill.name: fill for fill in there}
    changes = {name: _changes(mine[name], theirs[name]) for name in mine if name in theirs}
    return Difference(
        tuple(name for name in mine if name not in theirs),
        tuple(name for name in theirs if name not in mine),
        {name: changed for name, changed in changes.items() if changed},
    )


def _changes(here: Fill, there: Fill) -> tuple[Change, ...]:
    found = [
        Change(field, a, b)
        for field in FIELDS
        if (a := getattr(here, field)) != (b := getattr(there, field))
    ]
    recipes = [[(write.recipe, write.view) for write in fill.writes] for fill in (here, there)]
    if recipes[0] != recipes[1] or type(here) is not type(there):
        found.append(Change("recipe", here.recipe, there.recipe))
    keys = [tuple(write.key for write in fill.writes if write.key) for fill in (here, there)]
    if keys[0] != keys[1]:
        found.append(Change("key", *keys))
    return tuple(found)


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return str(value)
