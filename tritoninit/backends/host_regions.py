"""How a region of host memory is walked: as long rows, as boxes of short rows, or scattered.

Whatever the region, a task writes some hundred thousand elements and holds a few MiB at most;
no loop of Python runs once a short row.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tritoninit.backends.threads import PARALLEL, SHARES, run
from tritoninit.region import Axis, Spans
from tritoninit.sampler import DType, Sampler
from tritoninit.stream import Key

if TYPE_CHECKING:
    from tritoninit.backends.host import HostBackend

CHUNK = 1 << 18  # elements generated before they are copied to strided memory: at most 2 MiB
BOX_ROWS = 1 << 16  # rows whose starts are listed at once: 1 MiB
SHARE = 1 << 17  # elements of a share, some 50 us; to hand one over takes 10
VECTOR = 64  # elements: 16 blocks fill a vector register of 512 bits
SHORT = 1 << 9  # elements up to which other rows are faster when many are generated at once

Buffer = npt.NDArray[Any]
Places = npt.NDArray[np.int64]
# Writes zeros into a chunk of equally long rows that begin at these global elements.
Mask = Callable[[Buffer, Places], None]


class Fill(NamedTuple):
    """What is written, and by whom."""

    backend: HostBackend
    key: Key
    sampler: Sampler
    dtype: DType
    mask: Mask | None


def write(fill: Fill, out: Buffer, spans: Spans, threads: int) -> None:
    """Write samples into the elements of a region; ``out[0]`` is the region's first."""
    _, rows, span, length = spans
    count = math.prod(axis.size for axis in rows)
    work = count * length
    if not work:
        return
    # Several shares a thread even out what else the machine is doing.
    parts = 1 if work <= PARALLEL else threads * max(1, min(SHARES, work // (threads * SHARE)))
    plain = len(span) == 1 and (span[0].local == 1 or length == 1) and fill.mask is None
    tasks: list[Callable[[], None]]
    if plain and (count == 1 or length > SHORT or _fills_vectors(spans)):
        tasks = list(_long_rows(fill, out, spans, parts))
    elif count > 1 and length <= CHUNK:
        most = min(CHUNK, BOX_ROWS * length, -(-work // parts))
        write_box = _plain_box if plain else _scattered_box
        tasks = [
            partial(write_box, fill, out[at:], box, length, span)
            for box, at in _boxes(spans, max(1, most // length))
        ]
    else:
        tasks = [
            partial(_scatter, fill, out[at:], span, first, length, position)
            for first, at in displaced(spans.first, 0, rows)
            for position in range(0, length, CHUNK)
        ]
    run(tasks, threads if work > PARALLEL else 1)


def _fills_vectors(spans: Spans) -> bool:
    """Whether every row of one axis is made of whole vectors from the start of a block on."""
    first, rows, _, length = spans
    return length % VECTOR == 0 and len(rows) == 1 and first % 4 == rows[0].stride % 4 == 0


def displaced(first: int, at: int, axes: tuple[Axis, ...]) -> Iterator[tuple[int, int]]:
    """(global, local) position of every combination of axes."""
    if not axes:
        yield first, at
        return
    for i in range(axes[0].size):
        yield from displaced(first + i * axes[0].stride, at + i * axes[0].local, axes[1:])


def _long_rows(fill: Fill, out: Buffer, spans: Spans, parts: int) -> Iterator[Callable[[], None]]:
    first, rows, _, length = spans
    inner = rows[-1] if rows else Axis(1, 0, 0)
    for begin, at in displaced(first, 0, rows[:-1]):
        for low, high, left, right in shares(inner.size, length, parts):
            yield partial(
                fill.backend.fill_rows,
                out[at + low * inner.local + left :],
                high - low,
                inner.local,
                right - left,
                begin + low * inner.stride + left,
                inner.stride,
                fill.key,
                fill.sampler,
                fill.dtype,
            )


def shares(rows: int, length: int, parts: int) -> Iterator[tuple[int, int, int, int]]:
    """(first row, last row, first column, last column) of each thread's share."""
    if rows >= parts:
        for p in range(parts):
            yield rows * p // parts, rows * (p + 1) // parts, 0, length
        return
    edges = [length * p // parts // 64 * 64 for p in range(parts)] + [length]
    for row in range(rows):
        for left, right in itertools.pairwise(edges):
            if left < right:
                yield row, row + 1, left, right


class Box(NamedTuple):
    """Rows at every combination of some axes, the first at the global index ``first``."""

    first: int
    axes: tuple[Axis, ...]

    def starts(self, local: bool = False) -> Places:
        """The global index (or the local position) of each row's first element."""
        total = np.full((), 0 if local else self.first, dtype=np.int64)
        for axis in self.axes:
            steps = np.arange(axis.size, dtype=np.int64) * (axis.local if local else axis.stride)
            total = total[..., None] + steps
        return total.reshape(-1)


def _boxes(spans: Spans, most: int) -> Iterator[tuple[Box, int]]:
    """The rows of a region in boxes of at most ``most``, each with its local position.

    A box has all of the innermost axes that fit, and as many steps as fit of the next one.
    """
    first, rows, _, _ = spans
    inner = len(rows)
    held = 1
    while inner and held * rows[inner - 1].size <= most:
        inner -= 1
        held *= rows[inner].size
    if not inner:
        yield Box(first, rows), 0
        return
    cut = rows[inner - 1]
    step = max(1, most // held)
    for begin, at in displaced(first, 0, rows[: inner - 1]):
        for low in range(0, cut.size, step):
            axes = (cut._replace(size=min(step, cut.size - low)), *rows[inner:])
            yield Box(begin + low * cut.stride, axes), at + low * cut.local


def _plain_box(fill: Fill, out: Buffer, box: Box, length: int, span: tuple[Axis, ...]) -> None:
    """Rows of contiguous elements, written where they lie."""
    places = box.starts(local=True)
    fill.backend.fill_starts(out, places, length, box.starts(), fill.key, fill.sampler, fill.dtype)


def _scattered_box(fill: Fill, out: Buffer, box: Box, length: int, span: tuple[Axis, ...]) -> None:
    """Rows generated next to each other, then copied to where they lie."""
    starts = box.starts()
    places = np.arange(starts.size, dtype=np.int64) * length
    chunk = np.empty(starts.size * length, out.dtype)
    fill.backend.fill_starts(chunk, places, length, starts, fill.key, fill.sampler, fill.dtype)
    if fill.mask is not None:
        fill.mask(chunk, starts)
    axes = (*box.axes, *span)
    sizes = tuple(axis.size for axis in axes)
    strides = tuple(axis.local * out.itemsize for axis in axes)
    np.lib.stride_tricks.as_strided(out, sizes, strides)[...] = chunk.reshape(sizes)


def _scatter(
    fill: Fill, out: Buffer, span: tuple[Axis, ...], first: int, length: int, position: int
) -> None:
    """Generate one chunk of a long row contiguously, then copy it to where it lies."""
    count = min(CHUNK, length - position)
    chunk = np.empty(count, out.dtype)
    fill.backend.fill_rows(
        chunk, 1, 0, count, first + position, 0, fill.key, fill.sampler, fill.dtype
    )
    if fill.mask is not None:
        fill.mask(chunk, np.array([first + position]))
    _place(out, span, position, chunk)


def _place(out: Buffer, span: tuple[Axis, ...], position: int, chunk: Buffer) -> None:
    """Copy a chunk to positions [position, position + chunk.size) of a strided row."""
    axis = span[0]
    step = math.prod(a.size for a in span[1:])
    done = 0
    while done < chunk.size:
        index, within = divmod(position + done, step)
        whole = (chunk.size - done) // step
        if within == 0 and whole:
            sizes = (whole, *(a.size for a in span[1:]))
            strides = tuple(a.local * out.itemsize for a in span)
            target = np.lib.stride_tricks.as_strided(out[index * axis.local :], sizes, strides)
            target[...] = chunk[done : done + whole * step].reshape(sizes)
            done += whole * step
        else:
            part = min(step - within, chunk.size - done)
            _place(out[index * axis.local :], span[1:], within, chunk[done : done + part])
            done += part
