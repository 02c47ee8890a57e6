"""The digest of host memory: any region, in bounded chunks and on several threads."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy.typing as npt

from tritoninit.backends.host import HostBackend
from tritoninit.backends.host_regions import displaced, shares
from tritoninit.backends.threads import PARALLEL, SHARES, run
from tritoninit.digest import Digest
from tritoninit.region import Axis, Region

Buffer = npt.NDArray[Any]
SHORT = 16  # elements below which a row costs more to begin than to read
ONE = Axis(1, 0, 0)


def digest(backend: HostBackend, data: Buffer, region: Region, key: int, threads: int) -> Digest:
    """The sum of the shares of the region's elements; ``data[0]`` is the region's first.

    ``data`` is the flat storage as unsigned integers of the elements' size.
    """
    if not region.numel:
        return Digest()
    first, axes = region.axes()
    outer, rows, inner = _nested(axes)
    work = region.numel
    # Several shares a thread even out what else the machine is doing.
    parts = 1 if work <= PARALLEL else threads * (SHARES if work > SHARES * PARALLEL else 1)
    sums: list[Digest] = []

    def add(at: int, start: int, count: int, length: int) -> None:
        part = (Axis(count, rows.stride, rows.local), Axis(length, inner.stride, inner.local))
        sums.append(backend.digest_rows(data[at:], *part, start, key))

    tasks = []
    places = list(displaced(first, 0, outer))
    for index, local in places:
        for low, high, left, right in shares(rows.size, inner.size, -(-parts // len(places))):
            at = local + low * rows.local + left * inner.local
            start = index + low * rows.stride + left * inner.stride
            tasks.append(partial(add, at, start, high - low, right - left))
    run(tasks, threads if parts > 1 else 1)
    return sum(sums, Digest())


def _nested(axes: tuple[Axis, ...]) -> tuple[tuple[Axis, ...], Axis, Axis]:
    """(outer axes, rows, the axis within a row): long rows along memory, many of them at once."""
    if not axes:
        return (), ONE, ONE
    longest = max(range(len(axes)), key=lambda i: axes[i].size)
    chosen = next((i for i in reversed(range(len(axes))) if axes[i].size >= SHORT), longest)
    inner, rest = axes[chosen], axes[:chosen] + axes[chosen + 1 :]
    if not rest:
        return (), ONE, inner
    many = max(range(len(rest)), key=lambda i: rest[i].size)
    return rest[:many] + rest[many + 1 :], rest[many], inner
