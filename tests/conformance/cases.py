"""Regions of every shape the backends must fill, and what lies where in them."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from tests.conformance.backends import GUARD
from tritoninit.region import Region, row_major
from tritoninit.sampler import DType
from tritoninit.stream import Key

DTYPES = [DType.FLOAT32, DType.BFLOAT16, DType.FLOAT16, DType.FLOAT64]
KEY = Key(0x0123456789ABCDEF, 0xFEDCBA9876543210)


class Case(NamedTuple):
    """A region of a global shape, and the key it is filled with."""

    shape: tuple[int, ...]
    region: Region
    key: Key = KEY
    shift: int = 0


def box(shape: tuple[int, ...], offset: tuple[int, ...], sizes: tuple[int, ...]) -> Region:
    """A contiguous local tensor that holds a box of a global one."""
    return Region(shape, offset, sizes, row_major(sizes))


def run_of(numel: int, start: int, length: int, stride: int = 1) -> Case:
    """A flat run of a flattened tensor."""
    return Case((numel,), Region.flat_run(numel, start, length, stride))


CASES: dict[str, Case] = {
    "one element": Case((1,), Region.whole((1,), (1,))),
    "no dimension": Case((), Region.whole((), ())),
    "empty": Case((3, 0), Region.whole((3, 0), (1, 1))),
    "odd size": Case((9001,), Region.whole((9001,), (1,))),
    "three short of a tile": Case((4093,), Region.whole((4093,), (1,))),
    "whole tiles": Case((8192,), Region.whole((8192,), (1,))),
    "misaligned": Case((5003,), Region.whole((5003,), (1,)), shift=1),
    "misaligned by 4": Case((5003,), Region.whole((5003,), (1,)), shift=4),
    "starts in a block": run_of(20000, 7, 4321),
    "starts at a block": run_of(20000, 4100, 4100),
    "within a block": run_of(20, 5, 2),
    "beyond 2**31": run_of(2**40, 2**35 + 5, 4099),
    "every third": run_of(2000, 3, 500, 3),
    "transposed": Case((67, 41), Region.whole((67, 41), (1, 67))),
    "half the columns": Case((33, 20), Region.whole((33, 20), (40, 2))),
    "permuted": Case((5, 6, 7, 8), Region.whole((5, 6, 7, 8), (1, 5, 240, 30))),
    "five axes": Case((2, 3, 4, 3, 2), Region.whole((2, 3, 4, 3, 2), (1, 2, 6, 24, 72))),
    "rows": Case((70, 30), box((70, 30), (11, 0), (40, 30))),
    "columns": Case((70, 50), box((70, 50), (0, 13), (70, 17))),
    "aligned columns": Case((70, 64), box((70, 64), (0, 16), (70, 32))),
    "a box": Case((9, 8, 10, 12), box((9, 8, 10, 12), (2, 1, 3, 5), (4, 5, 6, 3))),
    "counters cross 2**32": Case((9001,), Region.whole((9001,), (1,)), Key(7, 2**32 - 1000)),
    "counters wrap 2**64": Case((9001,), Region.whole((9001,), (1,)), Key(2**64 - 1, 2**64 - 9)),
}


def indices(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """(global index, buffer position) of every element of a case, by brute force."""
    region = case.region
    grid = np.array(list(itertools.product(*map(range, region.sizes))), dtype=np.int64)
    grid = grid.reshape(region.numel, len(region.sizes))
    steps = np.array(row_major(region.global_shape), dtype=np.int64)
    index = ((grid + np.array(region.offset, dtype=np.int64)) * steps).sum(1)
    place = (grid * np.array(region.strides, dtype=np.int64)).sum(1)
    return index, place + GUARD - 8 + case.shift
