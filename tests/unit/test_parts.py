"""What one launch of the Triton kernels addresses: all of a region, once, in few launches."""

import math

import pytest
from hypothesis import given, settings

from tests.unit.test_region import regions, walk
from tritoninit.backends.parts import LIMIT, NARROW, ROW_AXES, SPAN_AXES, launches
from tritoninit.region import Axis, Region, Spans, row_major


@settings(max_examples=300, derandomize=True, deadline=None)
@given(regions())
def test_launches_visit_what_the_region_holds(region):
    spans = region.spans()
    if not region.numel:
        return
    found = set()
    for part, at in launches(spans):
        assert len(part.rows) <= ROW_AXES
        assert len(part.span) <= SPAN_AXES
        pairs = {(index, at + position) for index, position in walk(part)}
        assert not pairs & found
        found |= pairs
    assert found == walk(spans)


def box(shape, sizes):
    return Region(shape, (0,) * len(shape), sizes, row_major(sizes)).spans()


@pytest.mark.parametrize(
    ("shape", "sizes", "most"),
    [
        ((8192, 8192), (8192, 64), 1),
        ((512, 512, 3, 3, 3), (256, 64, 3, 3, 3), 1),
        ((64, 64, 8, 8, 8), (32, 32, 4, 4, 4), 1),
        ((64, 64, 8, 8, 8, 8), (32, 32, 4, 4, 4, 4), 4),
        ((3,) * 10, (2,) * 10, 32),
    ],
)
def test_many_axes_take_few_launches(shape, sizes, most):
    assert len(list(launches(box(shape, sizes)))) <= most


def test_a_wide_gap_between_rows_makes_no_strided_launch():
    """Columns of a wider buffer: each row is contiguous, so its words are stored whole."""
    parts = list(launches(Region.whole((64, 4 * NARROW), (1000, 1)).spans()))
    rows = (Axis(64, 4 * NARROW, 1000),)
    assert parts == [(Spans(0, rows, (Axis(4 * NARROW, 1, 1),), 4 * NARROW), 0)]


@pytest.mark.parametrize("rows", [2**31, 2**33 + 3])
@pytest.mark.parametrize("columns", [3, 2**31 + 1])
def test_slots_of_a_launch_fit_31_bits(rows, columns):
    spans = Spans(5, (Axis(2, 2**62, 2**62), Axis(rows, 2**33, columns)), (Axis(9, 1, 1),), 9)
    held = 0
    for part, _ in launches(spans):
        slots = math.prod(axis.size for axis in part.rows) * (part.length // 4 + 2)
        assert slots < LIMIT
        held += math.prod(axis.size for axis in part.rows) * part.length
    assert held == 2 * rows * 9


def test_rows_beyond_31_bits_are_launched_one_by_one():
    parts = list(launches(Spans(0, (Axis(3, 2**40, 2**32),), (Axis(2**32, 1, 1),), 2**32)))
    assert [(part.first, part.rows, at) for part, at in parts] == [
        (0, (), 0),
        (2**40, (), 2**32),
        (2**41, (), 2**33),
    ]
