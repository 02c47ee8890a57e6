"""Whole tensors on a GPU: checked, drawn and launched a short way.

On small ones a call costs what the host does before the launch; ``fill.py`` is the way for
everything else.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch._C import _increment_version

from tritoninit.fill import fill
from tritoninit.generator import words_of
from tritoninit.ready import Ready
from tritoninit.stream import Key


def fill_by_launch(tensor: Tensor, ready: Ready, generator: torch.Generator | Key | None) -> bool:
    """Fill a contiguous CUDA tensor, which ``is_whole`` and of the dtype of ``ready``.

    False, and nothing drawn or written, where ``fill.py`` is the way.
    """
    launches = ready.launches
    if launches is None or not tensor.is_contiguous():
        return False
    size = tensor.numel()
    reach = (tensor.storage_offset() + size) * ready.itemsize
    if reach > tensor.untyped_storage().nbytes():
        return False
    seed, offset = words_of(generator, tensor.device)
    if launches.fill(tensor, size, seed, offset):
        _increment_version((tensor,))
    else:
        fill(tensor, ready.recipe, Key(seed, offset))
    return True
