"""Words of many keys at once, computed with the library's own compiled Philox.

``Key.fold_in`` and a backend's call for every key would take longer than all the tests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from tritoninit import philox
from tritoninit.backends.numba_compile import compiled_scope
from tritoninit.stream import Key

Integers = npt.NDArray[np.uint64]
Words = npt.NDArray[np.uint32]

_philox4x32 = compiled_scope(philox)["philox4x32"]
HALF = np.uint64(32)


@numba.njit(cache=False)
def _blocks(seeds: Any, offsets: Any, blocks: Any, out: Any) -> None:
    """``blocks`` blocks of every key, one key after the other."""
    for k in range(seeds.size):
        for b in range(blocks):
            at = 4 * (k * blocks + b)
            words = _philox4x32(offsets[k] + np.uint64(b), seeds[k])
            for lane in range(4):
                out[at + lane] = np.uint32(words[lane])


@numba.njit(cache=False)
def _fold(seeds: Any, offsets: Any, data: Any, out: Any) -> None:
    for k in range(data.size):
        r0, r1, r2, r3 = _philox4x32(offsets[k] + data[k], seeds[k])
        out[0, k] = r1 << HALF | r0
        out[1, k] = r3 << HALF | r2


class Keys:
    """Many keys: arrays of their seeds and offsets."""

    def __init__(self, seeds: Integers, offsets: Integers) -> None:
        self.seeds, self.offsets = seeds, offsets

    @classmethod
    def of_seeds(cls, first: int, count: int) -> Keys:
        """Key(first), Key(first + 1), ..."""
        return cls(np.arange(first, first + count, dtype=np.uint64), np.zeros(count, np.uint64))

    @classmethod
    def repeated(cls, key: Key, count: int) -> Keys:
        """The same key over and over."""
        return cls(np.full(count, key.seed, np.uint64), np.full(count, key.offset, np.uint64))

    def fold_in(self, data: Integers) -> Keys:
        """Key k folds in data[k]."""
        out = np.empty((2, data.size), np.uint64)
        _fold(self.seeds, self.offsets, data, out)
        return Keys(out[0], out[1])

    def words(self, blocks: int) -> Words:
        """The words of the first blocks of every key."""
        out = np.empty(4 * blocks * self.seeds.size, np.uint32)
        _blocks(self.seeds, self.offsets, blocks, out)
        return out


def hashes(names: Iterable[str]) -> Integers:
    """What ``fold_in`` folds in for each name."""
    digests = (hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
    return np.frombuffer(b"".join(digests), dtype="<u8")
