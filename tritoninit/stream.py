"""Keys and counters of the stream, in plain Python integers.

This module is the oracle: every other implementation (numpy, numba, Triton) is tested
against it, and it is tested against Random123's known-answer vectors and against
``torch.func._random``.  ``STREAM.md`` beside it is the normative text.

Source: J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as
easy as 1, 2, 3", SC11 (2011): the Philox4x32-10 counter-based generator.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

STREAM_VERSION = 1

MASK32 = (1 << 32) - 1
MASK64 = (1 << 64) - 1

PHILOX_M0 = 0xD2511F53
PHILOX_M1 = 0xCD9E8D57
PHILOX_W0 = 0x9E3779B9
PHILOX_W1 = 0xBB67AE85
ROUNDS = 10

Words = tuple[int, int, int, int]


def philox4x32(counter: Words, key: tuple[int, int]) -> Words:
    """Philox4x32-10: four 32-bit words from a 128-bit counter and a 64-bit key."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        p0 = PHILOX_M0 * c0
        p1 = PHILOX_M1 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & MASK32, (p0 >> 32) ^ c3 ^ k1, p0 & MASK32
        k0 = (k0 + PHILOX_W0) & MASK32
        k1 = (k1 + PHILOX_W1) & MASK32
    return c0, c1, c2, c3


def _check_word(name: str, value: int) -> int:
    if type(value) is int and 0 <= value <= MASK64:
        return value
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an int, got {type(value).__name__}")
    value = value.__index__()
    if not -(1 << 63) <= value <= MASK64:
        raise ValueError(f"{name} must lie in [-2**63, 2**64 - 1], got {value}")
    return value & MASK64


def name_bytes(name: str) -> bytes:
    """The 8 bytes, little-endian, that a name folds into a key."""
    return hashlib.blake2b(name.encode(), digest_size=8).digest()


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Key:
    """A place in the stream: a pair (seed, offset) of 64-bit words.

    ``seed`` is the Philox key; ``offset`` is the 64-bit block counter of the key's first
    block.  Block ``b`` of the key is Philox4x32-10 of the counter ``offset + b`` (modulo
    2**64, in the low two counter words; the high two are zero).  Element ``i`` of a tensor
    takes word ``i % 4`` of block ``i // 4``.

    The layout, ``fold_in(int)`` and ``split`` are those of ``torch.func._random``, so its
    keys ``torch.tensor([seed, offset], dtype=torch.uint64)`` mean the same thing.

    Args:
        seed: an int in [-2**63, 2**64 - 1]; negative values are taken modulo 2**64.
        offset: likewise.

    >>> Key(0).fold_in("layers.0.wq.weight").fold_in(1)
    Key(seed=0x404e51aa1fa5bc28, offset=0xbf2b8c581587bb37)
    """

    seed: int
    offset: int

    def __init__(self, seed: int, offset: int = 0) -> None:
        _set_seed(self, _check_word("seed", seed))
        _set_offset(self, _check_word("offset", offset))

    def __repr__(self) -> str:
        return f"Key(seed={self.seed:#x}, offset={self.offset:#x})"

    def block(self, index: int) -> Words:
        """The four 32-bit words of block ``index`` of this key."""
        counter = (self.offset + index) & MASK64
        return philox4x32(
            (counter & MASK32, counter >> 32, 0, 0), (self.seed & MASK32, self.seed >> 32)
        )

    def word(self, element: int) -> int:
        """The 32-bit word of element ``element``: lane ``element % 4`` of its block."""
        return self.block(element // 4)[element % 4]

    def word64(self, element: int) -> int:
        """The 64-bit word of element ``element`` of a float64 tensor: two lanes, high first."""
        words = self.block(element // 2)
        lane = 2 * (element % 2)
        return words[lane] << 32 | words[lane + 1]

    def fold_in(self, data: int | str) -> Key:
        """The key derived from this one by an integer or a name.

        ``fold_in(i)`` makes the four words of block ``i`` into a new key: seed = word 0 +
        2**32 * word 1, offset = word 2 + 2**32 * word 3.  A string folds in the 64-bit
        BLAKE2b hash of its UTF-8 bytes, read little-endian.

        Raises:
            TypeError: ``data`` is neither an int nor a str.
            ValueError: an int outside [-2**63, 2**64 - 1].
        """
        if isinstance(data, str):
            data = int.from_bytes(name_bytes(data), "little")
        r0, r1, r2, r3 = self.block(_check_word("data", data))
        return Key(r1 << 32 | r0, r3 << 32 | r2)

    def split(self, num: int = 2) -> tuple[Key, ...]:
        """``num`` independent keys: ``fold_in(0), ..., fold_in(num - 1)``."""
        if num < 1:
            raise ValueError(f"num must be at least 1, got {num}")
        return tuple(self.fold_in(i) for i in range(num))


# Every call of an initializer makes a key; object.__setattr__ takes three times as long.
_set_seed, _set_offset = (Key.__dict__[name].__set__ for name in ("seed", "offset"))


def parameter_key(seed: int | Key, name: str, draw: int = 0) -> Key:
    """The key of draw ``draw`` of the parameter called ``name``.

    Draw 0 is ``Key(seed).fold_in(name)``; later draws of the same parameter fold in their
    ordinal as well.
    """
    key = (seed if isinstance(seed, Key) else Key(seed)).fold_in(name)
    return key if draw == 0 else key.fold_in(draw)
