"""Random numbers that init code takes from elsewhere than torch."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from tritoninit.stream import Key


@contextmanager
def seeded(key: Key) -> Iterator[None]:
    """Have Python's and numpy's global generators begin at the key inside, and go on after it.

    numpy's is left alone where code has given it another bit generator, which has no seeds.
    """
    seed, ours = key.word64(0), random.getstate()
    theirs = np.random.get_state(legacy=False)
    is_usual = theirs["bit_generator"] == "MT19937"
    random.seed(seed)
    if is_usual:
        np.random.seed([seed & 0xFFFFFFFF, seed >> 32])
    try:
        yield
    finally:
        random.setstate(ours)
        if is_usual:
            np.random.set_state(theirs)
