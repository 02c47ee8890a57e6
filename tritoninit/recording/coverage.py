"""Which writes to a tensor still matter at the end, and which elements nobody wrote.

A strided view is a set of places in its tensor's memory, held as sorted, disjoint runs.  This
is exact for every view, and small for the views that init code writes: a row or a slice along
the first dimension is one run, a column one run a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tritoninit.plan import View

MAX_RUNS = 1 << 24  # 256 MiB of run boundaries

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
    if spans and spans[-1] == Span(whole, True):
        return [len(spans) - 1], 0  # the usual case
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
