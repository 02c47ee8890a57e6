"""Which key a draw has: that of the first tensor that holds its values, and its ordinal there.

A draw that reaches several tensors (weight_norm's g = |v|, a copied module) has one key, so
that they agree.  It belongs to a tensor that holds the drawn values themselves before it belongs
to one that is computed from them.  The order of calls is of no account but within a tensor.
"""

from __future__ import annotations

from tritoninit.keys import parameter_keys
from tritoninit.recording.targets import Target
from tritoninit.recording.trace import Event, Operation
from tritoninit.stream import Key

Draw = tuple[int, Key]


class Keying:
    """The keys of the draws of a model under a root key."""

    def __init__(self, root: Key, targets: list[Target]) -> None:
        self.root = root
        self._drawn: dict[int, Draw] = {}
        self._first: dict[int, Key] = {}  # the key of the first draw, by the target's id
        self._counts: dict[int, int] = {}
        draws = [(w.event, t) for t in targets for w in t.writes if w.recipe and w.recipe.is_random]
        drawing = {id(target): target.name for _, target in draws}
        keys = parameter_keys(root, list(drawing.values()))
        self._first.update(zip(drawing, keys, strict=True))
        for event, target in draws:
            self.key_of(event, target)

    def key_of(self, event: Event | Operation, target: Target) -> Draw:
        """(the ordinal of a draw in the tensor it belongs to, its key)."""
        while isinstance(event, Event) and event.drawn is not None:
            event = event.drawn
        found = self._drawn.get(id(event))
        if found is None:
            draw = self._counts.get(id(target), 0)
            self._counts[id(target)] = draw + 1
            key = self._first.get(id(target)) or self.root.fold_in(target.name)
            found = self._drawn[id(event)] = draw, key.fold_in(draw) if draw else key
        return found
