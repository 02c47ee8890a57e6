"""Small host tensors: checked, drawn and written in one compiled call.

On them a call costs what is done around the samples, so this is the shortest way from a recipe
to the kernel; ``fill.py`` is the way for everything else.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from tritoninit.backends import host_backend
from tritoninit.backends.host import HostBackend, Write
from tritoninit.backends.threads import PARALLEL
from tritoninit.generator import key_of
from tritoninit.layout import DTYPES, bytes_needed, is_watched, overlaps_itself
from tritoninit.recipe import Normal, Recipe, Sparse, TruncNormal, Uniform
from tritoninit.stream import Key

SERIAL = 1 << 15  # elements up to which torch copies on one thread
RECIPES = (Uniform, Normal, TruncNormal, Sparse)
HOST = torch.device("cpu")
_dispatch_keys = torch._C._dispatch_keys
with torch.inference_mode(False):
    # What torch's dispatcher knows of a dense CPU tensor.  Wrappers of function transforms,
    # subclasses with __torch_dispatch__, other layouts, negative views and inference tensors
    # have other keys.
    PLAIN = _dispatch_keys(torch.empty(0, device=HOST)).raw_repr()


def fill_at_once(tensor: Tensor, recipe: Recipe, generator: torch.Generator | Key | None) -> bool:
    """Fill a small tensor on the host.

    False, and nothing drawn or written, where the tensor is not host memory that may be written,
    is large enough for several threads, or no kernel writes the recipe alone, and where torch's
    operations run under a dispatch mode or are traced.
    """
    if not isinstance(recipe, RECIPES) or _dispatch_keys(tensor).raw_repr() != PLAIN:
        return False
    if is_watched():
        return False
    size, contiguous = tensor.numel(), tensor.is_contiguous()
    if size > (PARALLEL if contiguous else SERIAL):
        return False
    if not contiguous and overlaps_itself(tensor):
        return False
    if bytes_needed(tensor) > tensor.untyped_storage().nbytes():
        return False
    shape = tuple(tensor.shape) if isinstance(recipe, Sparse) else ()
    write = _writer(host_backend(), recipe, shape, tensor.dtype)
    if write is None:
        return False
    key = key_of(generator, HOST)
    out = tensor
    if contiguous:
        torch.autograd.graph.increment_version(tensor)
    else:
        out = torch.empty_like(tensor, memory_format=torch.contiguous_format)
    write(out.data_ptr(), size, key.seed, key.offset, 0, 1, 0, 0)
    if not contiguous:
        tensor.detach().copy_(out)  # bumps the version
    return True


@lru_cache(maxsize=4096)
def _writer(
    backend: HostBackend, recipe: Recipe, shape: tuple[int, ...], dtype: torch.dtype
) -> Write | None:
    """What fills contiguous memory with ``recipe`` in one call, where there is such a thing."""
    return backend.writer(recipe, shape, DTYPES[dtype]) if dtype in DTYPES else None
