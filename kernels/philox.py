"""Philox4x32-10 (Salmon et al., SC11, 2011): the Triton mirror of ``tritoninit/philox.py``."""

import triton
import triton.language as tl

M0 = tl.constexpr(0xD2511F53)
M1 = tl.constexpr(0xCD9E8D57)
W0 = tl.constexpr(0x9E3779B9)
W1 = tl.constexpr(0xBB67AE85)
ROUNDS = tl.constexpr(10)


@triton.jit
def philox4x32(low, high, seed):
    """The four uint32 words of the blocks with 64-bit counters ``low + 2**32 * high``.

    ``low`` is a tensor of uint32; ``high`` is a uint32 scalar or a tensor like ``low``, and
    ``seed`` a uint64 scalar.  What depends on scalars alone runs on the uniform datapath.
    """
    zero = tl.full([], 0, tl.uint32)
    return rounds(low, high, zero, zero, seed)


@triton.jit
def rounds(c0, c1, c2, c3, seed):
    """The four words of the blocks with counters of four uint32 words, scalars or tensors.

    A 32 x 32 -> 64 bit product that is split in two becomes one IMAD.WIDE; ``tl.umulhi`` and a
    second multiply are two.
    """
    k0 = seed.to(tl.uint32)
    k1 = (seed >> 32).to(tl.uint32)
    # k1 again, but no longer a high half to LLVM, which would exclusive-or it to that of the first
    # product in 64 bits, and the next product would then be of 64 bits: an addition a block.
    k1 = (k0 | k1) - (k0 & (k1 ^ 0xFFFFFFFF))
    for _ in tl.static_range(ROUNDS):
        p0 = c0.to(tl.uint64) * M0
        p1 = c2.to(tl.uint64) * M1
        c0 = (p1 >> 32).to(tl.uint32) ^ c1 ^ k0
        c1 = p1.to(tl.uint32)
        c2 = (p0 >> 32).to(tl.uint32) ^ c3 ^ k1
        c3 = p0.to(tl.uint32)
        k0 = (k0 + W0).to(tl.uint32)
        k1 = (k1 + W1).to(tl.uint32)
    return c0, c1, c2, c3
