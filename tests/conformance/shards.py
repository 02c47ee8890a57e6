"""Regions as shardings leave them: parts of a global tensor, cut along some of its dimensions."""

from __future__ import annotations

import math

from tests.conformance.cases import KEY, Case, box
from tritoninit.region import Region, row_major
from tritoninit.stream import Key


def shard(shape: tuple[int, ...], rank: dict[int, tuple[int, int]]) -> Case:
    """Part i of n along dimension d for every ``rank[d] = (i, n)``, cut as torch.chunk cuts."""
    offset, sizes = [0] * len(shape), list(shape)
    for dim, (index, parts) in rank.items():
        step = -(-shape[dim] // parts)
        offset[dim] = min(shape[dim], index * step)
        sizes[dim] = min(step, shape[dim] - offset[dim])
    return Case(shape, box(shape, tuple(offset), tuple(sizes)))


def padded(case: Case, pad: int) -> Case:
    """The same part in a buffer whose innermost rows are ``pad`` elements apart."""
    region = case.region
    wider = (*region.sizes[:-1], region.sizes[-1] + pad)
    return case._replace(
        region=Region(region.global_shape, region.offset, region.sizes, row_major(wider))
    )


def transposed(case: Case) -> Case:
    """The same part with its first dimension contiguous."""
    region = case.region
    strides = tuple(math.prod(region.sizes[:dim]) for dim in range(len(region.sizes)))
    return case._replace(region=Region(region.global_shape, region.offset, region.sizes, strides))


WIDTHS = (1, 2, 3, 5, 16, 63, 64, 65, 1000)
CONV = (6, 8, 3, 4)
FIVE = (4, 5, 6, 7, 8)
HUGE = (2**20, 2**20)

SHARDS: dict[str, Case] = {
    "shard 0": shard((64, 40), {0: (1, 4)}),
    "shard 0, uneven": shard((61, 41), {0: (3, 4)}),
    "shard 0, empty": shard((5, 8), {0: (3, 4)}),
    **{f"shard 1, {width} wide": shard((37, 4 * width), {1: (1, 4)}) for width in WIDTHS},
    **{
        f"shard 1, {width} wide, odd": shard((37, 4 * width - 1), {1: (2, 4)})
        for width in WIDTHS[1:]
    },
    "shard 1, uneven": shard((50, 100), {1: (2, 3)}),
    "shard 1, many rows": shard((3000, 64), {1: (3, 8)}),
    "shard 1, rows of two tiles": shard((3, 20008), {1: (1, 2)}),
    "both": shard((96, 128), {0: (1, 3), 1: (1, 2)}),
    "both, uneven": shard((95, 126), {0: (2, 3), 1: (3, 4)}),
    "misaligned": shard((40, 256), {1: (1, 4)})._replace(shift=1),
    "misaligned by 4": shard((40, 256), {1: (1, 4)})._replace(shift=4),
    **{f"conv on {dim}": shard(CONV, {dim: (1, 2)}) for dim in range(4)},
    "conv on 1, three": shard((10, 9, 3, 3), {1: (2, 3)}),
    "conv on 0 and 1": shard(CONV, {0: (1, 2), 1: (0, 2)}),
    "conv on 1 to 3": shard(CONV, {1: (1, 2), 2: (0, 2), 3: (1, 2)}),
    "experts on 2": shard((4, 12, 32), {2: (1, 2)}),
    "experts on 0 and 2": shard((4, 12, 32), {0: (1, 2), 2: (1, 4)}),
    "experts on all": shard((4, 12, 32), {0: (1, 2), 1: (1, 2), 2: (1, 4)}),
    "five on 1 to 4": shard(FIVE, {1: (1, 2), 2: (1, 2), 3: (0, 2), 4: (1, 2)}),
    "five on all": shard(FIVE, dict.fromkeys(range(5), (1, 2))),
    "six on all": shard((3, 4, 3, 4, 3, 8), dict.fromkeys(range(6), (0, 2))),
    "padded": padded(shard((40, 64), {1: (1, 4)}), 8),
    "padded by 1": padded(shard((40, 64), {1: (1, 4)}), 1),
    "padded conv": padded(shard(CONV, {1: (1, 2)}), 4),
    "padded five": padded(shard(FIVE, {1: (1, 2), 4: (1, 2)}), 4),
    "padded whole": padded(Case((40, 64), Region.whole((40, 64), (64, 1))), 16),
    "transposed": transposed(shard((61, 48), {1: (1, 4)})),
    "transposed, odd": transposed(shard((61, 45), {1: (1, 4)})),
    "transposed conv": transposed(shard(CONV, {1: (1, 2)})),
    "transposed five": transposed(shard(FIVE, {1: (1, 2), 3: (1, 2)})),
    "beyond 2**31": Case(HUGE, box(HUGE, (2**11 - 3, 12), (6, 20))),
    "beyond 2**32, odd": Case((2**20, 2**20 - 1), box((2**20, 2**20 - 1), (2**13, 9), (5, 31))),
    "rows 2**33 apart": Case((9, 2**33), box((9, 2**33), (2, 2**32 - 8), (6, 24))),
    "rows over 2**31 apart, odd": Case((9, 2**32 + 3), box((9, 2**32 + 3), (2, 2**31), (6, 21))),
    "counters cross 2**32": shard((300, 64), {1: (1, 4)})._replace(key=Key(7, 2**32 - 1000)),
    "odd counters cross": shard((300, 61), {1: (1, 4)})._replace(key=Key(7, 2**32 - 1000)),
    "odd offset": shard((40, 64), {1: (1, 4)})._replace(key=Key(KEY.seed, 7)),
}
