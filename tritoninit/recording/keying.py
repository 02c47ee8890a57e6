"""Which key a draw has: that of the first tensor that holds its values, and its ordinal there.

A draw that reaches several tensors (weight_norm's g = |v|, a copied module) has one key, so
that they agree.  It belongs to a tensor that holds the drawn values themselves before it belongs
to one that is computed from them.  The order of calls is of no account but within a tensor.
"""

from __future__ import annotations

from tritoninit.recording.targets import Target
from tritoninit.recording.trace import Event, Operation
from tritoninit.stream import Key, parameter_key

Draw = tuple[int, Key]


class Keying:
    """The keys of the draws of a model under a root key."""

    def __init__(self, root: Key, targets: list[Target]) -> None:
        self.root = root
        self._drawn: dict[int, Draw] = {}
        self._counts: dict[int, int] = {}
        for target in targets:
            for written in target.writes:
                if written.recipe is not None and written.recipe.is_random:
                    self.key_of(written.event, target)

    def key_of(self, event: Event | Operation, target: Target) -> Draw:
        """(the ordinal of a draw in the tensor it belongs to, its key)."""
        while isinstance(event, Event) and event.drawn is not None:
            event = event.drawn
        found = self._drawn.get(id(event))
        if found is None:
            draw = self._counts.get(id(target), 0)
            self._counts[id(target)] = draw + 1
            found = draw, parameter_key(self.root, target.name, draw)
            self._drawn[id(event)] = found
        return found
