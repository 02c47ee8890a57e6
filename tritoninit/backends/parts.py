"""Splitting a region into what one launch of the Triton kernels can address."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tritoninit.region import Axis, Spans

ROW_AXES, SPAN_AXES = 4, 4  # that the kernels decode
NARROW = 8  # elements from which a run is better a row of its own than a strided axis
LIMIT = 2**31 - 2**13  # positions and slots below this, plus a tile, fit an int32


def launches(spans: Spans, block_elements: int = 4) -> Iterator[tuple[Spans, int]]:
    """The parts of a region, each with the buffer position of its first element.

    A slot is a block of the stream, which holds ``block_elements``, or more.

    Runs of a strided row that lie contiguously become rows.  More axes than a kernel decodes
    are walked here, the shortest ones, and more than 2**31 slots are halved.
    """
    yield from _split(_runs_as_rows(spans), 0, block_elements)


def _runs_as_rows(spans: Spans) -> Spans:
    first, rows, span, length = spans
    outer = len(span) - 1
    contiguous = span[-1].local == 1 and span[-1].size >= NARROW
    if not (contiguous and len(rows) + outer <= ROW_AXES):
        outer = max(0, len(span) - SPAN_AXES)
    for axis in span[:outer]:
        length //= axis.size
        rows = (*rows, Axis(axis.size, length, axis.local))
    return Spans(first, rows, span[outer:], length)


def _split(spans: Spans, at: int, each: int) -> Iterator[tuple[Spans, int]]:
    first, rows, span, length = spans
    rows = tuple(axis for axis in rows if axis.size > 1)
    spans = Spans(first, rows, span, length)
    slots = math.prod(axis.size for axis in rows) * (length // each + 2)
    if rows and (len(rows) > ROW_AXES or length >= LIMIT):
        shortest = min(rows, key=lambda axis: axis.size)
        for i in range(shortest.size):
            yield from _move(spans, at, shortest, i, 1, each)
    elif rows and slots >= LIMIT:
        longest = max(rows, key=lambda axis: axis.size)
        half = longest.size // 2
        yield from _move(spans, at, longest, 0, half, each)
        yield from _move(spans, at, longest, half, longest.size - half, each)
    else:
        yield spans, at


def _move(
    spans: Spans, at: int, axis: Axis, low: int, size: int, each: int
) -> Iterator[tuple[Spans, int]]:
    """The parts of the ``size`` steps of ``axis`` from step ``low`` on."""
    rows = tuple(axis._replace(size=size) if other is axis else other for other in spans.rows)
    moved = spans._replace(first=spans.first + low * axis.stride, rows=rows)
    return _split(moved, at + low * axis.local, each)
