"""Small host tensors: checked, drawn and written in one compiled call.

On them a call costs what is done around the samples, so this is the shortest way from a recipe
to the kernel; ``fill.py`` is the way for everything else.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch._C import _increment_version

from tritoninit.backends.host import Write
from tritoninit.backends.threads import PARALLEL
from tritoninit.generator import HOST, words_of
from tritoninit.layout import bytes_needed, overlaps_itself
from tritoninit.ready import Ready
from tritoninit.stream import Key

SERIAL = 1 << 15  # elements up to which torch copies on one thread


def fill_at_once(tensor: Tensor, ready: Ready, generator: torch.Generator | Key | None) -> bool:
    """Fill a small host tensor, which ``is_whole`` and of the dtype of ``ready``.

    False, and nothing drawn or written, where the tensor is not memory that may be written, or
    is large enough for several threads, or where no kernel writes the recipe alone.
    """
    size = tensor.numel()
    if size > PARALLEL:
        return False
    write = ready.write or ready.writer(tuple(tensor.shape))
    if write is None:
        return False
    if not tensor.is_contiguous():
        return _fill_strided(tensor, size, write, generator)
    reach = (tensor.storage_offset() + size) * ready.itemsize
    if reach > tensor.untyped_storage().nbytes():
        return False
    seed, offset = words_of(generator, HOST)
    _increment_version((tensor,))  # as torch.autograd.graph.increment_version, in half the time
    write(tensor.data_ptr(), size, seed, offset, 0, 1, 0, 0)
    return True


def _fill_strided(
    tensor: Tensor, size: int, write: Write, generator: torch.Generator | Key | None
) -> bool:
    if size > SERIAL or overlaps_itself(tensor):
        return False
    if bytes_needed(tensor) > tensor.untyped_storage().nbytes():
        return False
    seed, offset = words_of(generator, HOST)
    out = torch.empty_like(tensor, memory_format=torch.contiguous_format)
    write(out.data_ptr(), size, seed, offset, 0, 1, 0, 0)
    tensor.detach().copy_(out)  # bumps the version
    return True
