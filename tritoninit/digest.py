"""The fingerprint's definition, in plain Python integers.

A digest is a pair of 64-bit words.  Digests add word by word modulo 2**64, so that parts of a
tensor, ranks and models may be added in any order.  ``STREAM.md`` is the normative text.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

from tritoninit.stream import MASK32, MASK64, philox4x32


@dataclass(frozen=True, slots=True)
class Digest:
    """128 bits: two sums modulo 2**64."""

    first: int = 0
    second: int = 0

    def __add__(self, other: Digest) -> Digest:
        return Digest((self.first + other.first) & MASK64, (self.second + other.second) & MASK64)

    def __mul__(self, count: int) -> Digest:
        return Digest(self.first * count & MASK64, self.second * count & MASK64)

    def __str__(self) -> str:
        return f"{self.first:016x}{self.second:016x}"

    def to_bytes(self) -> bytes:
        """16 bytes, little-endian."""
        return self.first.to_bytes(8, "little") + self.second.to_bytes(8, "little")

    @classmethod
    def from_bytes(cls, data: bytes) -> Digest:
        """What :meth:`to_bytes` wrote."""
        return cls(int.from_bytes(data[:8], "little"), int.from_bytes(data[8:16], "little"))


class Header(NamedTuple):
    """A tensor without its values: the Philox key of its elements, and its own share."""

    key: int
    share: Digest


def header(name: str, dtype: str, shape: tuple[int, ...]) -> Header:
    """BLAKE2b with a 24-byte digest: 8 bytes of key, 16 of the tensor's own share.

    Hashed are the name (UTF-8) and torch's name of the dtype, each after its length, then the
    number of dimensions and their sizes; every integer is 8 bytes, little-endian.
    """
    texts = [name.encode(), dtype.encode()]
    parts = [part for text in texts for part in (len(text).to_bytes(8, "little"), text)]
    sizes = [size.to_bytes(8, "little") for size in (len(shape), *shape)]
    digest = hashlib.blake2b(b"".join(parts + sizes), digest_size=24).digest()
    return Header(int.from_bytes(digest[:8], "little"), Digest.from_bytes(digest[8:]))


def element(key: int, index: int, bits: int) -> Digest:
    """The share of the element ``index`` (row-major, in the global tensor) that holds ``bits``.

    Philox4x32-10 is a bijection of the counter under a key, so no two values of an element, and
    no two places of a value, have the same share.
    """
    counter = (index & MASK32, index >> 32, bits & MASK32, bits >> 32)
    r0, r1, r2, r3 = philox4x32(counter, (key & MASK32, key >> 32))
    return Digest(r1 << 32 | r0, r3 << 32 | r2)
