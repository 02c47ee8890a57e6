"""Filling host memory: any region, any recipe, in bounded chunks and on several threads.

The two host backends know one thing, how to fill rows of contiguous elements with samples;
strides, chunks and threads are dealt with in ``host_regions.py``, masks here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tritoninit import sparse
from tritoninit.backends.host_regions import Fill, Mask, Places, write
from tritoninit.backends.threads import PARALLEL, run
from tritoninit.digest import Digest
from tritoninit.recipe import Recipe, Sparse
from tritoninit.region import Axis, Region, Spans
from tritoninit.sampler import DType, Sampler, lower
from tritoninit.stream import Key

Buffer = npt.NDArray[Any]
# (address, length, seed, offset, first, rows, row_local, row_global) -> None
Write = Callable[[int, int, int, int, int, int, int, int], None]


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

    def fill_starts(
        self,
        out: Buffer,
        places: Places,
        length: int,
        starts: Places,
        key: Key,
        sampler: Sampler,
        dtype: DType,
    ) -> None:
        """Row r, out[places[r] :][:length], takes global elements starts[r] on; for short rows."""

    def words(
        self, key: Key, first: int, count: int, rows: int, stride: int
    ) -> npt.NDArray[np.uint32]:
        """[rows, count] 32-bit words; row r is those of elements first + r * stride on."""

    def rank(
        self, key: Key, rows: int, columns: int, zeros: int, left: int, count: int
    ) -> sparse.Thresholds:
        """The ``zeros``-th smallest keys of columns [left, left + count)."""

    def zero(self, out: Buffer, starts: Places, limits: sparse.Thresholds, key: Key) -> None:
        """Write zeros where ``sparse_`` has them; out holds equally long rows, see ``starts``."""

    def digest_rows(self, data: Buffer, rows: Axis, inner: Axis, first: int, key: int) -> Digest:
        """The digest of elements along two axes; data[0] is global element ``first``."""


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
        mask = _sparse_mask(backend, sparse.mask_key(key), shape, region, zeros, threads)
    write(Fill(backend, key, sampler, dtype, mask), out, region.spans(), threads)


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
        write(Fill(backend, key, sampler, dtype, None), out, spans, threads)


class _Ones:
    """In the place of a backend: ones instead of samples."""

    name = "ones"

    def writer(self, *_: Any) -> None:
        return None

    def fill_rows(self, out: Buffer, *_: Any) -> None:
        out[:] = 1

    def fill_starts(self, out: Buffer, *_: Any) -> None:
        out[:] = 1

    def words(self, *_: Any) -> Any:
        raise NotImplementedError("ones are not drawn")

    rank = zero = digest_rows = words


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
        mask = _sparse_mask(backend, sparse.mask_key(key), shape, region, zeros, 1)
    ones = Fill(_Ones(), key, Sampler("constant"), DType.FLOAT32, mask)
    write(ones, out, region.spans(), 1)


def _sparse_mask(
    backend: HostBackend,
    key: Key,
    shape: tuple[int, ...],
    region: Region,
    zeros: int,
    threads: int,
) -> Mask:
    rows, columns = shape
    if rows >= 2**32:
        raise ValueError(f"sparse_ supports fewer than 2**32 rows, got {rows}")
    limits = sparse.Thresholds(np.empty(columns, np.uint32), np.empty(columns, np.uint32))
    begin, end = sparse.columns_of(region, shape)

    def rank(left: int) -> None:
        count = min(step, end - left)
        part = backend.rank(key, rows, columns, zeros, left, count)
        limits.word[left : left + count], limits.row[left : left + count] = part

    step = sparse.columns_at_once(rows, columns)
    tasks = [partial(rank, left) for left in range(begin, end, step)]
    run(tasks, threads if rows * (end - begin) > PARALLEL else 1)

    def zero(chunk: Buffer, starts: Places) -> None:
        backend.zero(chunk, starts, limits, key)

    return zero
