"""Calls of initializers that were made before: what they write is known, and not found out again.

On a tensor on meta an initializer does nothing but to ask for one recipe.  Which one depends on
the arguments and on the tensor's type and geometry, and a model has many equal tensors.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from tritoninit.plan import View
from tritoninit.recipe import Recipe
from tritoninit.recording.trace import Memory, Operation

PLAIN = frozenset({bool, int, float, str, type(None)})  # values that are known by themselves
_dispatch_keys = torch._C._dispatch_keys


class Asked(NamedTuple):
    """A recipe that a call wrote, and the view that it wrote it to."""

    recipe: Recipe
    view: View


class Known:
    """The calls whose recipes are known, by all that these depend on."""

    def __init__(self) -> None:
        self._asked: dict[object, Asked] = {}

    def get(self, call: object) -> Asked | None:
        """What an equal call wrote."""
        return self._asked.get(call)

    def learn(self, call: object, memory: Memory, before: int, view: View) -> None:
        """Remember a call by what happened to the memory, which held ``before`` events.

        Nothing is remembered where that is not one recipe on the view, under no key of its own.
        """
        if len(memory.events) != before + 1:
            return
        event = memory.events[-1]
        recipe = event.recipe
        if isinstance(recipe, Operation) or event.key is not None or event.view != view:
            return
        self._asked[call] = Asked(recipe, event.view)


def description(
    name: str, tensor: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> object | None:
    """All that the recipe of a call depends on; None where an argument is more than a number."""
    values = (*args[1:], *kwargs.values()) if kwargs else args[1:]
    exact = ""
    for value in values:
        if type(value) is not float or not value:
            if type(value) not in PLAIN:
                return None
            exact = str(values)  # 0.0 equals -0.0, and 1.0 equals 1 and True
    geometry = tensor.shape, tensor.stride(), tensor.storage_offset()
    memory = tensor.untyped_storage().nbytes(), _dispatch_keys(tensor).raw_repr()
    return name, values, (*kwargs,), exact, type(tensor), tensor.dtype, geometry, memory


def is_silent(tensor: Tensor) -> bool:
    """Whether a call on such a tensor does nothing but to ask for a recipe.

    Off meta it writes, without elements it warns, and an inference tensor is refused outside of
    inference mode.
    """
    return tensor.is_meta and tensor.numel() > 0 and not tensor.is_inference()
