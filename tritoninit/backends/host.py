"""Filling host memory: any region, any recipe, in bounded chunks and on several threads.

The two host backends know one thing, how to fill rows of contiguous elements with samples;
strides, chunks, threads, masks and the deterministic patterns are dealt with here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tritoninit import sparse
from tritoninit.backends.threads import PARALLEL, SHARES, run
from tritoninit.recipe import Recipe, Sparse
from tritoninit.region import Axis, Region, Spans
from tritoninit.sampler import DType, Sampler, lower
from tritoninit.stream import Key

Buffer = npt.NDArray[Any]
# (address, length, seed, offset, first, rows, row_local, row_global) -> None
Write = Callable[[int, int, int, int, int, int, int, int], None]
CHUNK = 1 << 18  # elements generated before they are copied to strided memory: at most 2 MiB


class HostBackend(Protocol):
    """How to fill contiguous rows."""

    name: str

    def __hash__(self) -> int:
        """A backend is the key of what is cached for it."""

    def writer(self, recipe: Recipe, shape: tuple[int, ...], dtype: DType) -> Write | None:
        """What fills a whole, small tensor by its address; None: this backend cannot.

        The tensor is contiguous, aligned in any way, and kept alive by the caller.  ``shape``
        matters to ``Sparse`` only.
        """

    def fill_rows(
        self,
        out: Buffer,
        rows: int,
        row_local: int,
        length: int,
        first: int,
        row_global: int,
        key: Key,
        sampler: Sampler,
        dtype: DType,
    ) -> None:
        """Row r, out[r * row_local :][:length], takes global elements first + r * row_global on."""

    def words(
        self, key: Key, first: int, count: int, rows: int, stride: int
    ) -> npt.NDArray[np.uint32]:
        """[rows, count] 32-bit words; row r is those of elements first + r * stride on."""

    def rank(
        self, key: Key, rows: int, columns: int, zeros: int, left: int, count: int
    ) -> sparse.Thresholds:
        """The ``zeros``-th smallest keys of columns [left, left + count)."""

    def zero(self, out: Buffer, first: int, limits: sparse.Thresholds, key: Key) -> None:
        """Write zeros into out, the elements from ``first`` on, where ``sparse_`` has them."""


def fill(
    backend: HostBackend,
    out: Buffer,
    region: Region,
    shape: tuple[int, ...],
    recipe: Recipe,
    key: Key,
    dtype: DType,
    threads: int,
) -> None:
    """Write a random recipe into the elements of ``region``; ``out[0]`` is the region's first.

    ``out`` is the flat storage (16-bit floats as uint16); ``shape`` is the global tensor's.
    """
    sampler = lower(recipe, shape, dtype)
    mask = None
    if isinstance(recipe, Sparse) and (zeros := recipe.zeros(shape[0])):
        mask = _sparse_mask(backend, sparse.mask_key(key), shape, zeros, threads)
    _samples(backend, out, region.spans(), key, sampler, dtype, threads, mask)


def fill_contiguous(
    backend: HostBackend,
    out: Buffer,
    key: Key,
    sampler: Sampler,
    dtype: DType,
    threads: int,
) -> None:
    """Write samples into a whole, contiguous tensor."""
    size = out.size
    if size <= PARALLEL:
        backend.fill_rows(out, 1, 0, size, 0, 0, key, sampler, dtype)
    else:
        spans = Spans(0, (), (Axis(size, 1, 1),), size)
        _samples(backend, out, spans, key, sampler, dtype, threads, None)


class _Ones:
    """In the place of a backend: ones instead of samples."""

    name = "ones"

    def writer(self, *_: Any) -> None:
        return None

    def fill_rows(self, out: Buffer, *_: Any) -> None:
        out[:] = 1

    def words(self, *_: Any) -> Any:
        raise NotImplementedError("ones are not drawn")

    rank = zero = words


def keep_mask(
    backend: HostBackend,
    out: Buffer,
    region: Region,
    shape: tuple[int, ...],
    recipe: Sparse,
    key: Key,
) -> None:
    """1.0 where ``sparse_`` keeps a value and 0.0 where it writes a zero."""
    mask = None
    if zeros := recipe.zeros(shape[0]):
        mask = _sparse_mask(backend, sparse.mask_key(key), shape, zeros, 1)
    sampler = Sampler("constant")
    _samples(_Ones(), out, region.spans(), key, sampler, DType.FLOAT32, 1, mask)


Mask = Callable[[Buffer, int], None]  # writes zeros into a chunk that begins at an index


def _sparse_mask(
    backend: HostBackend, key: Key, shape: tuple[int, ...], zeros: int, threads: int
) -> Mask:
    rows, columns = shape
    if rows >= 2**32:
        raise ValueError(f"sparse_ supports fewer than 2**32 rows, got {rows}")
    limits = sparse.Thresholds(np.empty(columns, np.uint32), np.empty(columns, np.uint32))

    def rank(left: int) -> None:
        count = min(step, columns - left)
        part = backend.rank(key, rows, columns, zeros, left, count)
        limits.word[left : left + count], limits.row[left : left + count] = part

    step = sparse.columns_at_once(rows, columns)
    tasks = [partial(rank, left) for left in range(0, columns, step)]
    run(tasks, threads if rows * columns > PARALLEL else 1)

    def zero(chunk: Buffer, first: int) -> None:
        backend.zero(chunk, first, limits, key)

    return zero


def _rows(axes: tuple[Axis, ...]) -> Iterator[tuple[int, int]]:
    """(global, local) displacement of every combination of the outer axes."""
    if not axes:
        yield 0, 0
        return
    for i in range(axes[0].size):
        for stride, local in _rows(axes[1:]):
            yield i * axes[0].stride + stride, i * axes[0].local + local


def _samples(
    backend: HostBackend,
    out: Buffer,
    spans: Spans,
    key: Key,
    sampler: Sampler,
    dtype: DType,
    threads: int,
    mask: Mask | None,
) -> None:
    first, rows, span, length = spans
    contiguous = len(span) == 1 and (span[0].local == 1 or length == 1) and mask is None
    if not contiguous:
        tasks = [
            partial(
                _scatter,
                backend,
                out[local:],
                span,
                first + stride,
                position,
                key,
                sampler,
                dtype,
                mask,
            )
            for stride, local in _rows(rows)
            for position in range(0, length, CHUNK)
        ]
        run(tasks, threads if length * math.prod(axis.size for axis in rows) > PARALLEL else 1)
        return
    inner = rows[-1] if rows else Axis(1, 0, 0)
    outer = list(_rows(rows[:-1]))
    work = inner.size * length * len(outer)
    # Several shares a thread even out what else the machine is doing.
    parts = 1 if work <= PARALLEL else threads * (SHARES if work > SHARES * PARALLEL else 1)
    tasks = []
    for stride, local in outer:
        for low, high, left, right in _shares(inner.size, length, parts):
            begin = local + low * inner.local + left
            start = first + stride + low * inner.stride + left
            tasks.append(
                partial(
                    backend.fill_rows,
                    out[begin:],
                    high - low,
                    inner.local,
                    right - left,
                    start,
                    inner.stride,
                    key,
                    sampler,
                    dtype,
                )
            )
    run(tasks, threads if parts > 1 else 1)


def _shares(rows: int, length: int, parts: int) -> Iterator[tuple[int, int, int, int]]:
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


def _scatter(
    backend: HostBackend,
    out: Buffer,
    span: tuple[Axis, ...],
    first: int,
    position: int,
    key: Key,
    sampler: Sampler,
    dtype: DType,
    mask: Mask | None,
) -> None:
    """Generate one chunk of a row contiguously, then copy it to where it lies."""
    length = math.prod(axis.size for axis in span)
    count = min(CHUNK, length - position)
    chunk = np.empty(count, out.dtype)
    backend.fill_rows(chunk, 1, 0, count, first + position, 0, key, sampler, dtype)
    if mask is not None:
        mask(chunk, first + position)
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
