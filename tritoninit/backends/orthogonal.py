"""Orthogonal matrices in host memory, on several threads; needs numba."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from tritoninit.backends.host import HostBackend
from tritoninit.backends.numba_orthogonal import (
    FACTORS,
    GROUP,
    Kernels,
    group_start,
    kernels,
)
from tritoninit.backends.threads import SHARES, run
from tritoninit.recipe import Normal
from tritoninit.sampler import DType, Sampler, lower
from tritoninit.stream import Key

SERIAL = 1 << 24  # rows * columns^2 up to which a matrix is one thread's: 256 x 256, 0.4 ms
SERIAL_ELEMENTS = 1 << 17  # and no more elements than these
CHUNK = 1 << 16  # normals drawn at once: 512 KiB
MANY = 1 << 22  # rows * columns^2 of small matrices that make up a task, some 0.1 ms


class Target(NamedTuple):
    """A matrix of m x n: its key and gain, and the address of its float64 or float32 numbers.

    Element (i, j) lies at ``address`` + i * ``row_step`` + j * ``column_step`` elements.
    """

    rows: int
    columns: int
    key: Key
    gain: float
    address: int
    row_step: int
    column_step: int
    double: bool


class Tall(NamedTuple):
    """A target, transposed if it is wide.

    Its normal (i, j) is number i * ``read_row`` + j * ``read_column`` of the key's stream.
    """

    rows: int
    columns: int
    key: Key
    gain: float
    out: tuple[int, int, int, bool]
    read_row: int
    read_column: int


@lru_cache
def standard_normal() -> Sampler:
    """The sampler of the matrix that the reflections come from."""
    return lower(Normal(0.0, 1.0), (), DType.FLOAT64)


def write(backend: HostBackend, targets: Sequence[Target], threads: int) -> None:
    """Write every target: small ones side by side, large ones by all threads."""
    code = kernels()
    tasks: list[Callable[[], None]] = []
    small: list[Tall] = []
    work = 0
    for target in targets:
        matrix = _tall(target)
        size = matrix.rows * matrix.columns**2
        if size > SERIAL or matrix.rows * matrix.columns > SERIAL_ELEMENTS:
            _write_large(backend, code, matrix, threads)
            continue
        small.append(matrix)
        work += size
        if work >= MANY:
            tasks.append(partial(_write_small, backend, code, small))
            small, work = [], 0
    if small:
        tasks.append(partial(_write_small, backend, code, small))
    if tasks:
        run(tasks, threads)


def _tall(target: Target) -> Tall:
    m, n, key, gain, address, row, column, double = target
    if m >= n:
        return Tall(m, n, key, gain, (address, row, column, double), n, 1)
    return Tall(n, m, key, gain, (address, column, row, double), 1, n)


def _write_small(backend: HostBackend, code: Kernels, matrices: Sequence[Tall]) -> None:
    sampler = standard_normal()
    for matrix in matrices:
        rows, columns, key, gain, out, read_row, read_column = matrix
        values = np.empty(rows * columns)
        backend.fill_rows(values, 1, 0, values.size, 0, 0, key, sampler, DType.FLOAT64)
        code.whole(values, rows, columns, gain, read_row, read_column, *out)


def _write_large(backend: HostBackend, code: Kernels, matrix: Tall, threads: int) -> None:
    rows, columns = matrix.rows, matrix.columns
    count = -(-columns // GROUP)
    groups = np.empty((group_start(count - 1, rows) + rows - GROUP * (count - 1), GROUP))
    factors = np.empty((count, FACTORS))
    pack = _pack_wide if matrix.read_row == 1 else _pack_tall
    run([partial(task, groups) for task in pack(backend, code, matrix)], threads)
    step = -(-count // (threads * SHARES))

    def prepare(first: int) -> None:
        code.prepare(groups, factors, rows, columns, matrix.gain, first, min(first + step, count))

    run([partial(prepare, first) for first in range(0, count, step)], threads)
    spare: list[Any] = []

    def strip(left: int) -> None:
        try:  # another thread may take the last one first
            buffer = spare.pop()
        except IndexError:
            buffer = np.empty((rows, code.columns))
        code.strip(groups, factors, rows, columns, left, buffer, *matrix.out)
        spare.append(buffer)

    last = (columns - 1) // code.columns * code.columns
    # The last strip takes the longest, so it comes first.
    run([partial(strip, left) for left in range(last, -1, -code.columns)], threads)


def _pack_tall(backend: HostBackend, code: Kernels, matrix: Tall) -> list[Callable[[Any], None]]:
    """Rows of normals at a time, as far as the diagonal."""
    rows, columns, key = matrix.rows, matrix.columns, matrix.key

    def pack(first: int, last: int, groups: Any) -> None:
        length = min(columns, last)
        values = np.empty((last - first) * length)
        runs = (1, 0, values.size) if length == columns else (last - first, length, length)
        backend.fill_rows(
            *(values, *runs, first * columns, columns, key, standard_normal(), DType.FLOAT64)
        )
        count = -(-length // GROUP)
        code.pack(values, groups, rows, columns, first, last, 0, count, 0, length, 1)

    step = max(GROUP, CHUNK // columns)
    return [partial(pack, i, min(i + step, rows)) for i in range(0, rows, step)]


def _pack_wide(backend: HostBackend, code: Kernels, matrix: Tall) -> list[Callable[[Any], None]]:
    """A group at a time, each column from the diagonal on."""
    rows, columns, key = matrix.rows, matrix.columns, matrix.key

    def pack(first: int, last: int, groups: Any) -> None:
        for g in range(first, last):
            top, count = GROUP * g, min(GROUP, columns - GROUP * g)
            length = rows - top
            values = np.empty(count * length)
            backend.fill_rows(
                *(values, count, length, length, top * rows + top, rows),
                *(key, standard_normal(), DType.FLOAT64),
            )
            code.pack(values, groups, rows, columns, top, rows, g, g + 1, top, 1, length)

    count = -(-columns // GROUP)
    step = max(1, CHUNK // (GROUP * rows))
    return [partial(pack, g, min(g + step, count)) for g in range(0, count, step)]
