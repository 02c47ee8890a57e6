"""Philox4x32-10 over arrays: the CPU mirror of ``kernels/philox.py``.

The round is in plain integer arithmetic on uint64, so that no operation overflows in numpy
and LLVM narrows it to 32-bit multiplies in numba.
"""

from __future__ import annotations

import numpy as np

from tritoninit.arith import U64

M0 = np.uint64(0xD2511F53)
M1 = np.uint64(0xCD9E8D57)
W0 = np.uint64(0x9E3779B9)
W1 = np.uint64(0xBB67AE85)
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)
ROUNDS = 10


def philox4x32(counter: U64, seed: np.uint64) -> tuple[U64, U64, U64, U64]:
    """The four words (in uint64) of the block whose 64-bit counter is ``counter``."""
    zero = counter & np.uint64(0)
    return rounds(counter & LOW, counter >> HALF, zero, zero, seed)


def rounds(c0: U64, c1: U64, c2: U64, c3: U64, seed: np.uint64) -> tuple[U64, U64, U64, U64]:
    """The four words of the block with this counter of four words (all in uint64)."""
    k0, k1 = seed & LOW, seed >> HALF
    for _ in range(ROUNDS):
        p0 = M0 * c0
        p1 = M1 * c2
        c0 = (p1 >> HALF) ^ c1 ^ k0
        c1 = p1 & LOW
        c2 = (p0 >> HALF) ^ c3 ^ k1
        c3 = p0 & LOW
        k0 = (k0 + W0) & LOW
        k1 = (k1 + W1) & LOW
    return c0, c1, c2, c3
