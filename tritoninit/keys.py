"""The keys of many parameters at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tritoninit.philox import philox4x32
from tritoninit.stream import Key, name_bytes

FEW = 16  # names up to which plain integers take less time


def parameter_keys(root: Key, names: Sequence[str]) -> list[Key]:
    """``root.fold_in(name)`` of every name."""
    if len(names) <= FEW:
        return [root.fold_in(name) for name in names]
    folded = np.frombuffer(b"".join(map(name_bytes, names)), "<u8").astype(np.uint64)
    words = philox4x32(folded + np.uint64(root.offset), np.uint64(root.seed))
    high = np.uint64(32)
    seeds, offsets = (np.asarray(words[i + 1] << high | words[i]).tolist() for i in (0, 2))
    return list(map(Key, seeds, offsets))
