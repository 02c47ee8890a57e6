"""Word generators that are wrong in a known way: the battery must reject each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from tritoninit.backends import host_backend
from tritoninit.stream import Key

Words = npt.NDArray[np.uint32]
SHIFT = 64  # elements between the streams of neighbouring 'seeds' that overlap


def _good(count: int) -> Words:
    return host_backend().words(Key(7), 0, count, 1, 0)[0]


@numba.njit
def _recurrence(kind: Any, out: Any) -> None:
    x = np.uint32(12345)
    a, b, c = np.uint32(362436069), np.uint32(521288629), np.uint32(88675123)
    for i in range(out.size):
        if kind == 0:  # a linear congruential generator modulo 2**32 (Super-Duper's)
            x = np.uint32(x * np.uint32(69069) + np.uint32(1))
            out[i] = x
        elif kind == 1:  # RANDU, modulo 2**31
            x = np.uint32((x * np.uint32(65539)) & np.uint32(0x7FFFFFFF))
            out[i] = np.uint32(x << np.uint32(1))
        elif kind == 2:  # xorshift32 (Marsaglia 2003)
            x ^= np.uint32(x << np.uint32(13))
            x ^= np.uint32(x >> np.uint32(17))
            x ^= np.uint32(x << np.uint32(5))
            out[i] = x
        else:  # xorshift with 96 bits of state
            t = np.uint32(a ^ np.uint32(a << np.uint32(10)))
            a, b = b, c
            c = np.uint32(c ^ (c >> np.uint32(26)) ^ t ^ (t >> np.uint32(5)))
            out[i] = c


def recurrence(kind: int) -> Callable[[int], Words]:
    def words(count: int) -> Words:
        out = np.empty(count, np.uint32)
        _recurrence(kind, out)
        return out

    return words


def few_rounds(rounds: int) -> Callable[[int], Words]:
    """Philox4x32 of the counters 0, 1, 2, ... with fewer rounds."""

    def words(count: int) -> Words:
        c0 = np.arange(count // 4, dtype=np.uint64)
        c1 = c2 = c3 = np.zeros_like(c0)
        low = np.uint64(0xFFFFFFFF)
        k0, k1 = np.uint64(7), np.uint64(0)
        for _ in range(rounds):
            p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
            half = np.uint64(32)
            c0, c1, c2, c3 = (p1 >> half) ^ c1 ^ k0, p1 & low, (p0 >> half) ^ c3 ^ k1, p0 & low
            k0, k1 = (k0 + np.uint64(0x9E3779B9)) & low, (k1 + np.uint64(0xBB67AE85)) & low
        return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32).reshape(-1)

    return words


def repeated_block(count: int) -> Words:
    """One block of four words a million comes a second time, as after a lost carry."""
    out = _good(count)
    out[-4:] = out[:4]
    return out


def repeated_lane(count: int) -> Words:
    """Lane 3 of each block is lane 1."""
    out = _good(count)
    out[3::4] = out[1::4]
    return out


def overlapping_seeds(count: int) -> Words:
    """64 interleaved streams, each the one before it SHIFT elements on."""
    each = count // 64
    source = _good(each + 64 * SHIFT)
    return np.stack([source[s * SHIFT :][:each] for s in range(64)], axis=1).reshape(-1)


def biased_bit(count: int) -> Words:
    """The lowest bit is set once more in 16 times than it should be."""
    out = _good(count)
    out[::16] |= np.uint32(1)
    return out


def alternating(count: int) -> Words:
    """Every second word has its highest bits turned: each word alone is uniform."""
    out = _good(count)
    out[1::2] = out[0::2] ^ (out[1::2] >> np.uint32(3))
    return out


def wave(count: int) -> Words:
    """In one word of 16 the highest bit follows a square wave of period 128."""
    out = _good(count)
    top = np.uint32(1 << 31)
    out[::16] = out[::16] & ~top | (np.arange(0, count, 16) // 64 % 2).astype(np.uint32) * top
    return out


GENERATORS: dict[str, Callable[[int], Words]] = {
    "LCG modulo 2^32": recurrence(0),
    "RANDU": recurrence(1),
    "xorshift32": recurrence(2),
    "xorshift96": recurrence(3),
    "Philox4x32-2": few_rounds(2),
    "Philox4x32-3": few_rounds(3),
    "repeated block": repeated_block,
    "repeated lane": repeated_lane,
    "overlapping seeds": overlapping_seeds,
    "biased bit": biased_bit,
    "words that share their highest bits": alternating,
    "square wave": wave,
}
