"""A recipe in one dtype, with what writes it at once: made at its first use, and kept."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import torch

from tritoninit.backends import host_backend
from tritoninit.backends.host import Write
from tritoninit.layout import DTYPES
from tritoninit.recipe import Dirac, Eye, Normal, Recipe, Sparse, TruncNormal, Uniform

if TYPE_CHECKING:
    from tritoninit.backends.triton_whole import Launches

KEPT = 4096  # of each: a model has some dozens of recipes
ELEMENTWISE = (Normal, Uniform, TruncNormal)
PATTERNS = (Eye, Dirac)


class Ready:
    """``recipe`` in a dtype of ``itemsize`` bytes."""

    def __init__(self, recipe: Recipe, dtype: torch.dtype) -> None:
        self.recipe = recipe
        self.itemsize = dtype.itemsize
        self._dtype = dtype

    @cached_property
    def write(self) -> Write | None:
        """What fills contiguous host memory in one call, where the shape does not matter to it."""
        return _writer(self.recipe, (), self._dtype) if self._is(*ELEMENTWISE) else None

    def writer(self, shape: tuple[int, ...]) -> Write | None:
        """What fills contiguous host memory in one call, where there is such a thing."""
        return _writer(self.recipe, shape, self._dtype) if self._is(Sparse) else self.write

    @cached_property
    def launches(self) -> Launches | None:
        """What fills whole CUDA tensors in a launch each, where there is such a thing."""
        if not self._is(*ELEMENTWISE, *PATTERNS):
            return None
        from tritoninit.backends.triton_whole import Launches

        return Launches(self.recipe, DTYPES[self._dtype], self._is(*PATTERNS))

    def _is(self, *kinds: type[Recipe]) -> bool:
        return isinstance(self.recipe, kinds) and self._dtype in DTYPES


ready = lru_cache(maxsize=KEPT)(Ready)


@lru_cache(maxsize=KEPT)
def _writer(recipe: Recipe, shape: tuple[int, ...], dtype: torch.dtype) -> Write | None:
    return host_backend().writer(recipe, shape, DTYPES[dtype])
