"""Whole tensors on a GPU: checked, drawn and launched a short way.

On small ones a call costs what the host does before the launch; ``fill.py`` is the way for
everything else.
"""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType

import torch
from torch import Tensor

from tritoninit.fill import fill
from tritoninit.generator import key_of
from tritoninit.layout import DTYPES, bytes_needed, is_watched
from tritoninit.recipe import Dirac, Eye, Normal, Recipe, TruncNormal, Uniform
from tritoninit.stream import Key

SHAPED = (Eye, Dirac)  # whose values depend on the shape
RECIPES = (Normal, Uniform, TruncNormal, *SHAPED)
_dispatch_keys = torch._C._dispatch_keys


def dense_keys(device: str) -> int:
    """What torch's dispatcher knows of a dense tensor on CPU or CUDA, see ``small.PLAIN``."""
    keys, kinds = torch._C.DispatchKeySet, torch._C.DispatchKey
    found = keys(kinds.ADInplaceOrView)
    for name in ("", "Autograd", "Autocast"):
        found = found | keys(getattr(kinds, name + device))
    return found.raw_repr()


PLAIN = dense_keys("CUDA")


@lru_cache
def _backend() -> ModuleType:
    from tritoninit.backends import triton_whole

    return triton_whole


def fill_by_launch(tensor: Tensor, recipe: Recipe, generator: torch.Generator | Key | None) -> bool:
    """Fill a contiguous CUDA tensor.

    False, and nothing drawn or written, where ``fill.py`` is the way.
    """
    if _dispatch_keys(tensor).raw_repr() != PLAIN or not isinstance(recipe, RECIPES):
        return False
    dtype = DTYPES.get(tensor.dtype)
    if dtype is None or not tensor.is_contiguous() or is_watched():
        return False
    if bytes_needed(tensor) > tensor.untyped_storage().nbytes():
        return False
    key = key_of(generator, tensor.device)
    shape = tuple(tensor.shape) if isinstance(recipe, SHAPED) else ()
    if _backend().fill(tensor, shape, recipe, key, dtype):
        torch.autograd.graph.increment_version(tensor)
    else:
        fill(tensor, recipe, key)
    return True
