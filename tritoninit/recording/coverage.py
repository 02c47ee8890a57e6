"""Which writes to a tensor still matter at the end, and which elements nobody wrote.

A strided view is a set of places in its tensor's memory, held as sorted, disjoint runs.  This
is exact for every view, and small for the views that init code writes: a row or a slice along
the first dimension is one run, a column one run a row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tritoninit.plan import View

MAX_RUNS = 1 << 24  # 256 MiB of run boundaries
FEW = 32  # writes; for more, tensors of up to MAX_PAINTED elements are painted, a byte each
MAX_PAINTED = 1 << 26

Places = npt.NDArray[np.int64]


class Runs(NamedTuple):
    """The half-open intervals [starts[i], ends[i]), sorted and disjoint."""

    starts: Places
    ends: Places

    @property
    def size(self) -> int:
        """How many places the runs hold."""
        return int((self.ends - self.starts).sum())


class Span(NamedTuple):
    """A write as coverage sees it: where, and whether it replaces what was there."""

    view: View
    overwrites: bool


def runs_of(view: View) -> Runs:
    """The places of a view whose elements do not overlap.

    Raises:
        ValueError: the view falls into more than 2**24 runs.
    """
    if 0 in view.shape:
        empty = np.empty(0, np.int64)
        return Runs(empty, empty)
    axes = sorted(
        (stride, size) for size, stride in zip(view.shape, view.strides, strict=True) if size != 1
    )
    length = 1
    while axes and axes[0][0] == length:
        length *= axes.pop(0)[1]
    count = int(np.prod([size for _, size in axes], dtype=np.float64))
    if count > MAX_RUNS:
        raise ValueError(
            f"a view of shape {list(view.shape)} and strides {list(view.strides)} falls into"
            f" {count} separate runs of memory; at most {MAX_RUNS} can be followed"
        )
    starts = np.array([view.offset], np.int64)
    for stride, size in reversed(axes):
        starts = (starts[:, None] + stride * np.arange(size, dtype=np.int64)).reshape(-1)
    starts.sort()
    return Runs(starts, starts + length)


def difference(a: Runs, b: Runs) -> Runs:
    """The places of ``a`` that are not in ``b``."""
    edges = np.unique(np.concatenate([*a, *b]))
    left, right = edges[:-1], edges[1:]
    kept = _inside(left, a) & ~_inside(left, b)
    left, right = left[kept], right[kept]
    joined = left[1:] == right[:-1]
    first = np.concatenate([[True], ~joined])[: left.size]
    last = np.concatenate([~joined, [True]])[: left.size]
    return Runs(left[first], right[last])


def _inside(places: Places, runs: Runs) -> npt.NDArray[np.bool_]:
    if not runs.starts.size:
        return np.zeros(places.shape, bool)
    index = np.searchsorted(runs.starts, places, side="right") - 1
    return (index >= 0) & (places < runs.ends[index])


def needed(whole: View, spans: Sequence[Span]) -> tuple[list[int], int]:
    """(the indices of the writes that reach the final values, how many elements none reaches).

    Read from the last write to the first: a write matters where it touches an element that no
    later write replaces.
    """
    if spans and spans[-1] == (whole, True) and 0 not in whole.shape:
        return [len(spans) - 1], 0  # nearly every tensor
    if len(spans) > FEW and (extent := _paintable(whole, spans)):
        return _painted(whole, spans, extent)
    live = runs_of(whole)
    indices = []
    for index in range(len(spans) - 1, -1, -1):
        if not live.starts.size:
            break
        view, overwrites = spans[index]
        rest = difference(live, runs_of(view))
        if rest.size != live.size:
            indices.append(index)
            if overwrites:
                live = rest
    return indices[::-1], live.size


def _paintable(whole: View, spans: Sequence[Span]) -> int:
    """How much memory the views lie in; 0 where painting them takes longer than runs may."""
    views = [whole, *(span.view for span in spans)]
    extent = max(end_of(view) for view in views)
    painted = sum(math.prod(view.shape) for view in views)
    return extent if extent <= MAX_PAINTED and painted <= 4 * MAX_PAINTED else 0


def _painted(whole: View, spans: Sequence[Span], extent: int) -> tuple[list[int], int]:
    """``needed`` of many writes: runs that they cut into pieces would each be gone through."""
    memory = np.zeros(extent, bool)
    _seen(memory, whole)[...] = True
    indices = []
    for index in range(len(spans) - 1, -1, -1):
        seen = _seen(memory, spans[index].view)
        if seen.any():
            indices.append(index)
            if spans[index].overwrites:
                seen[...] = False
    return indices[::-1], int(np.count_nonzero(memory))


def _seen(memory: npt.NDArray[np.bool_], view: View) -> npt.NDArray[np.bool_]:
    return np.ndarray(view.shape, bool, memory, view.offset, view.strides)


def end_of(view: View) -> int:
    """The first place of the memory behind the view; 0 where it has no elements."""
    if 0 in view.shape:
        return 0
    lasts = zip(view.shape, view.strides, strict=True)
    return view.offset + 1 + sum((size - 1) * stride for size, stride in lasts)
