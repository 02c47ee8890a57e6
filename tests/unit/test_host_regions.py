"""Regions of host memory: the same values in any layout and number of threads, in few calls."""

import tracemalloc

import numpy as np
import pytest
import torch

from tritoninit import Key, init
from tritoninit.backends import host, host_regions, threads
from tritoninit.backends.numba_ import NumbaBackend
from tritoninit.recipe import Normal
from tritoninit.region import Region, row_major
from tritoninit.sampler import DType, lower

KEY = Key(5)


class Counted(NumbaBackend):
    """Counts the calls that Python makes."""

    def __init__(self):
        self.calls = 0

    def fill_rows(self, *arguments):
        self.calls += 1
        super().fill_rows(*arguments)

    def fill_starts(self, *arguments):
        self.calls += 1
        super().fill_starts(*arguments)


def column_major(sizes):
    return tuple(int(np.prod(sizes[:dim], dtype=int)) for dim in range(len(sizes)))


SHAPES = {
    "columns": ((20000, 64), (0, 24), (20000, 8)),
    "odd columns": ((20000, 63), (0, 21), (20000, 9)),
    "wide columns": ((300, 4096), (0, 1025), (300, 1030)),
    "conv": ((512, 64, 3, 3), (0, 60), (512, 4, 3, 3)),
    "experts": ((64, 128, 64), (8, 64, 16), (32, 64, 16)),
    "five": ((64, 16, 8, 8, 8), (0, 0, 4, 4, 4), (64, 16, 4, 4, 4)),
}


@pytest.mark.parametrize("strides", [row_major, column_major], ids=["plain", "transposed"])
@pytest.mark.parametrize("label", SHAPES)
def test_no_loop_of_python_runs_once_a_row(label, strides):
    shape, offset, sizes = SHAPES[label]
    offset = (*offset, *(0,) * (len(shape) - len(offset)))
    region = Region(shape, offset, sizes, strides(sizes))
    backend = Counted()
    out = np.full(region.extent, np.nan, np.float32)
    host.fill(backend, out, region, shape, Normal(0.0, 1.0), KEY, DType.FLOAT32, 2)
    assert backend.calls <= 2 * threads.SHARES + 2 * region.numel // host_regions.CHUNK + 8
    index = sum(
        (np.arange(low, low + size) * step).reshape(-1, *(1,) * (len(shape) - 1 - dim))
        for dim, (low, size, step) in enumerate(zip(offset, sizes, row_major(shape), strict=True))
    )
    low, high = int(index.min()), int(index.max()) + 1
    flat = np.empty(high - low, np.float32)
    backend.fill_rows(
        flat,
        1,
        0,
        high - low,
        low,
        0,
        KEY,
        lower(Normal(0.0, 1.0), (), DType.FLOAT32),
        DType.FLOAT32,
    )
    got = np.lib.stride_tricks.as_strided(out, sizes, [4 * step for step in region.strides])
    assert (got == flat[index - low]).all()


@pytest.mark.parametrize("label", SHAPES)
def test_threads_do_not_show_in_parts(label):
    shape, offset, sizes = SHAPES[label]
    offset = (*offset, *(0,) * (len(shape) - len(offset)))
    before = torch.get_num_threads()
    made = []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            part = torch.empty(sizes, dtype=torch.bfloat16)
            init.uniform_(part, generator=KEY, global_shape=shape, global_offset=offset)
            made.append(part)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(made[0], made[1])
    assert torch.equal(made[0], made[2])


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("columns", [1, 2, 16, 1000])
@pytest.mark.parametrize("sparse", [False, True])
def test_memory_is_bounded_on_narrow_parts(columns, transposed, sparse):
    rows = (1 << 22) // columns
    part = torch.empty(columns, rows).t() if transposed else torch.empty(rows, columns)
    place = dict(generator=KEY, global_shape=(rows, 2048), global_offset=(0, 8))

    def fill():
        init.sparse_(part, 0.5, **place) if sparse else init.normal_(part, **place)

    fill()  # compiles
    tracemalloc.start()
    fill()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 << 20
