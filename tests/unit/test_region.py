"""Boxes of a global tensor against numpy's own indexing."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tritoninit.region import Axis, Region, Spans, boxes_of_run, row_major


def walk(spans):
    """(global index, buffer position) of every element, as ``Spans`` describes them."""
    first, rows, span, length = spans
    starts = [(first, 0)]
    for axis in rows:
        starts = [
            (index + i * axis.stride, position + i * axis.local)
            for index, position in starts
            for i in range(axis.size)
        ]
    offsets = [0]
    for axis in span:
        offsets = [position + i * axis.local for position in offsets for i in range(axis.size)]
    assert len(offsets) == length
    return {
        (index + i, position + offset)
        for index, position in starts
        for i, offset in enumerate(offsets)
    }


@st.composite
def regions(draw):
    shape = draw(st.lists(st.integers(1, 5), max_size=5))
    offset = [draw(st.integers(0, size)) for size in shape]
    sizes = [draw(st.integers(0, size - low)) for size, low in zip(shape, offset, strict=True)]
    order = draw(st.permutations(range(len(shape))))
    strides, step = [0] * len(shape), draw(st.integers(1, 3))
    for dim in order:
        strides[dim] = step
        step *= max(sizes[dim], 1) * draw(st.integers(1, 2))
    return Region(*map(tuple, (shape, offset, sizes, strides)))


def elements(region):
    """The same pairs from the definition: the box's coordinates, one by one."""
    pairs = set()
    steps = row_major(region.global_shape)
    for local in np.ndindex(*region.sizes):
        index = sum((o + i) * s for o, i, s in zip(region.offset, local, steps, strict=True))
        pairs.add((index, sum(i * s for i, s in zip(local, region.strides, strict=True))))
    return pairs


@settings(max_examples=400, derandomize=True, deadline=None)
@given(regions())
def test_spans_visit_every_element_once_at_its_place(region):
    spans = region.spans()
    assert walk(spans) == elements(region)
    assert math.prod(axis.size for axis in spans.rows) * spans.length == region.numel


@settings(max_examples=200, derandomize=True, deadline=None)
@given(regions())
def test_the_extent_reaches_just_past_the_last_element(region):
    positions = {position for _, position in elements(region)}
    assert region.extent == (max(positions) + 1 if positions else 0)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(regions())
def test_locate_finds_the_elements_of_the_box_and_no_others(region):
    index = np.arange(math.prod(region.global_shape), dtype=np.int64)
    inside = dict(elements(region))
    assert region.locate(index).tolist() == [inside[i] for i in index.tolist() if i in inside]


def test_a_contiguous_tensor_is_one_row():
    assert Region.whole((4, 5, 6), (30, 6, 1)).spans() == Spans(0, (), (Axis(120, 1, 1),), 120)


def test_rows_of_a_matrix_are_one_run_and_columns_are_rows_of_it():
    rows = Region((8, 6), (2, 0), (3, 6), (6, 1)).spans()
    assert rows == Spans(12, (), (Axis(18, 1, 1),), 18)
    columns = Region((8, 6), (0, 2), (8, 3), (3, 1)).spans()
    assert columns == Spans(2, (Axis(8, 6, 3),), (Axis(3, 1, 1),), 3)


def test_a_transposed_matrix_is_one_row_of_two_axes():
    spans = Region.whole((3, 4), (1, 3)).spans()
    assert spans == Spans(0, (), (Axis(3, 4, 1), Axis(4, 1, 3)), 12)


def test_a_flat_run_is_a_box_of_the_flattened_tensor():
    assert Region.flat_run(100, 37, 10, 2).spans() == Spans(37, (), (Axis(10, 1, 2),), 10)


def test_indices_beyond_32_bits_are_exact():
    region = Region((2**20, 2**20), (2**19, 3), (1, 2), (2, 1))
    assert region.spans().first == 2**39 + 3


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (((4, 4), (0, 0), (5, 4), (4, 1)), r"dimension 0: \[0, 5\) is not within \[0, 4\)"),
        (((4, 4), (0, 2), (4, 3), (3, 1)), r"dimension 1: \[2, 5\) is not within \[0, 4\)"),
        (((4, 4), (-1, 0), (2, 4), (4, 1)), r"dimension 0: \[-1, 1\)"),
        (((4, 4), (0,), (4, 4), (4, 1)), "the same number of dimensions"),
        (((4,), (0, 0), (4, 4), (4, 1)), "the same number of dimensions"),
    ],
)
def test_a_box_that_leaves_the_tensor_is_refused(arguments, text):
    with pytest.raises(ValueError, match=text):
        Region(*arguments)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.data())
def test_boxes_of_a_run_are_the_run(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 5), max_size=4)))
    numel = math.prod(shape)
    start = data.draw(st.integers(0, numel))
    length = data.draw(st.integers(0, numel - start))
    index = np.arange(numel).reshape(shape)
    boxes = list(boxes_of_run(shape, start, length))
    found = []
    for at, offset, sizes in boxes:
        assert at == len(found)
        box = index[tuple(slice(o, o + n) for o, n in zip(offset, sizes, strict=True))]
        found.extend(box.reshape(-1).tolist())
    assert found == list(range(start, start + length))
    assert len(boxes) <= max(1, 2 * len(shape))
