"""Single elements from the definition: integer words, then the exact numpy arithmetic.

Slow, and independent of every backend's way through a tensor: for checking samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tritoninit.backends.numpy_ import FOUR, TWO, to_storage
from tritoninit.recipe import Recipe
from tritoninit.sampler import DType, lower
from tritoninit.stream import Key


def element(
    recipe: Recipe, key: Key, index: int, shape: tuple[int, ...], dtype: DType
) -> npt.NDArray[Any]:
    """The stored bits of element ``index`` (row-major) of a tensor drawn from ``recipe``.

    16-bit formats come as uint16.  For uniform, normal and truncated normal.
    """
    sampler = lower(recipe, shape, dtype)
    lanes = 2 if dtype.is_double else 4
    words = [np.array([word], np.uint64) for word in key.block(index // lanes)]
    sample: Any = (TWO if dtype.is_double else FOUR)[sampler.kind]
    values: npt.NDArray[Any] = sample(*words, sampler.params)[index % lanes]
    return to_storage(values, dtype)
