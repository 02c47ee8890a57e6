"""Where the elements of a tile lie: in the global tensor and in the local buffer.

A launch walks rows of globally contiguous elements (``tritoninit/region.py``).
"""

import triton
import triton.language as tl


@triton.jit
def span_position(element, size1, size2, size3, l0, l1, l2, l3):
    """The local offset of a position within a row, decoded along four axes."""
    i3 = element % size3
    rest = element // size3
    i2 = rest % size2
    rest = rest // size2
    i1 = rest % size1
    i0 = rest // size1
    return i0 * l0 + i1 * l1 + i2 * l2 + i3 * l3


@triton.jit
def coordinates(start, lanes, period, channels, rows, WIDE: tl.constexpr):
    """The coordinates (o % rows, i, k) of elements start + lanes of a [o, i, k] tensor.

    ``period`` and ``channels`` are the sizes of k and i.  The tile's start is decomposed in
    64 bits once; within the tile 32 bits do, unless WIDE says that a size is near 2**31.
    """
    first = start // period
    k0 = start % period
    i0 = first % channels
    o0 = (first // channels) % rows
    if not WIDE:
        k0, i0, o0 = k0.to(tl.uint32), i0.to(tl.uint32), o0.to(tl.uint32)
        lanes = lanes.to(tl.uint32)
        period = period.to(tl.uint32)
        channels = channels.to(tl.uint32)
        rows = rows.to(tl.uint32)
    k = k0 + lanes
    i = i0 + k // period
    o = o0 + i // channels
    return o % rows, i % channels, k % period
