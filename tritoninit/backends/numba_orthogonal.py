"""Products of Householder reflections for numba, four reflections to a pass over the memory.

The tall matrix of normals becomes *groups* of four reflections: group g holds columns 4g to
4g + 3 from row 4g on, as rows of four numbers (with ones on the diagonal, zeros above it, and
zeros for columns that do not exist), one group after another.  A *strip* of Q, some columns of
all rows, is computed in a buffer that the second-level cache holds, from the groups alone.  So
strips can be computed in any order and on any thread, and a column's operations and their order
depend neither on the strip's width nor on the instruction set: the bits are the same everywhere.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba import types as nbt
from numba.core import cgutils
from numba.extending import intrinsic

from tritoninit.backends.numba_compile import compiled, put, source_hash

GROUP = 4  # reflections
FACTORS = 14  # numbers that belong to a group: tau, signed gain, products of reflections
# (doubles in a register, columns of a strip): what 32 and 16 registers hold with the sums.  On a
# Zen 5 core 90 and, as an AVX2 machine, 54 GFLOP/s; 12 to 40 columns were tried.
WIDE, NARROW = (8, 24), (4, 12)
BYTES = 8


def strip_shape() -> tuple[int, int]:
    """(doubles in a register, columns of a strip) for this processor."""
    try:
        features = llvmlite.binding.get_host_cpu_features()
    except RuntimeError:  # LLVM cannot tell
        return NARROW
    return WIDE if features.get("avx512f") else NARROW


def group_start(g: int, rows: int) -> int:
    """Rows of four numbers before group ``g``."""
    return g * rows - 2 * g * (g - 1)


def write(out: Any, at: Any, value: Any, double: bool) -> None:
    """Put a number into memory, rounded to float32 unless ``double``."""
    if double:
        put(out, at, value)
    else:
        put(out, at, np.float32(value))


def _pack(  # type: ignore[no-untyped-def]
    values, groups, rows, columns, first_row, last_row, first, last, left, row_step, column_step
):
    """Rows [first_row, last_row) of groups [first, last) from values[row, column - left]."""
    for g in range(first, last):
        start = group_start(g, rows)
        for i in range(max(first_row, GROUP * g), last_row):
            for b in range(GROUP):
                column = GROUP * g + b
                at = (i - first_row) * row_step + (column - left) * column_step
                below = column <= i and column < columns
                groups[start + i - GROUP * g, b] = values[at] if below else 0.0


def _prepare(groups, factors, rows, columns, gain, first, last):  # type: ignore[no-untyped-def]
    """Turn columns into reflections.

    factors[g] = tau of the four, then -gain or gain times the sign of the diagonal, then the
    inner products 01, 02, 03, 12, 13, 23 of the reflections.
    """
    for g in range(first, last):
        start = group_start(g, rows)
        v = groups[start : start + rows - GROUP * g]
        own = factors[g]
        s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
        p01, p02, p03, p12, p13, p23 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(v.shape[0]):
            a, b, c, d = v[i, 0], v[i, 1], v[i, 2], v[i, 3]
            s0 += a * a
            s1 += b * b
            s2 += c * c
            s3 += d * d
            if i >= GROUP:
                p01 += a * b
                p02 += a * c
                p03 += a * d
                p12 += b * c
                p13 += b * d
                p23 += c * d
        own[0], own[1], own[2], own[3] = s0, s1, s2, s3
        for b in range(GROUP):
            own[GROUP + b] = 0.0
            own[8 + b] = 0.0
            if GROUP * g + b < columns:
                norm = np.copysign(np.sqrt(own[b]), v[b, b])
                head = v[b, b] + norm
                own[b] = head / norm
                own[GROUP + b] = -gain if norm > 0 else gain
                own[8 + b] = 1.0 / head
        n0, n1, n2, n3 = own[8], own[9], own[10], own[11]
        for i in range(v.shape[0]):
            v[i, 0] *= n0
            v[i, 1] *= n1
            v[i, 2] *= n2
            v[i, 3] *= n3
        p01 *= n0 * n1
        p02 *= n0 * n2
        p03 *= n0 * n3
        p12 *= n1 * n2
        p13 *= n1 * n3
        p23 *= n2 * n3
        for b in range(min(GROUP, columns - GROUP * g)):
            v[b, b] = 1.0
        for i in range(min(GROUP, v.shape[0])):
            a, b, c, d = v[i, 0], v[i, 1], v[i, 2], v[i, 3]
            p01 += a * b
            p02 += a * c
            p03 += a * d
            p12 += b * c
            p13 += b * d
            p23 += c * d
        own[8], own[9], own[10], own[11], own[12], own[13] = p01, p02, p03, p12, p13, p23


def _strip(  # type: ignore[no-untyped-def]
    groups, factors, rows, columns, left, buffer, out, row_step, column_step, double
):
    """Write columns [left, left + COLUMNS) of gain * Q to out[row, column].

    From the last group to the first: q -= V w with w = T V^T q, where V^T q has been summed
    while the group before was subtracted.  ``out`` is the address of float64 or float32 numbers.
    """
    width = min(COLUMNS, columns - left)
    w, sums = np.empty(GROUP * COLUMNS), np.zeros(GROUP * COLUMNS)
    w0, s0 = w[0:], sums[0:]
    w1, s1 = w[COLUMNS:], sums[COLUMNS:]
    w2, s2 = w[2 * COLUMNS :], sums[2 * COLUMNS :]
    w3, s3 = w[3 * COLUMNS :], sums[3 * COLUMNS :]
    buffer[left:] = 0.0
    q, v, row = buffer.ctypes.data, groups.ctypes.data, BYTES * COLUMNS
    for g in range((left + width - 1) // GROUP, -1, -1):
        top = GROUP * g
        start = group_start(g, rows)
        own = factors[g]
        if top < left:
            buffer[top : top + GROUP] = 0.0
        else:  # columns that begin here: S below the reflections
            for c in range(min(GROUP, columns - top)):
                for b in range(GROUP):
                    sums[b * COLUMNS + top - left + c] = groups[start + c, b] * own[GROUP + c]
                buffer[top + c, top - left + c] = own[GROUP + c]
        tau0, tau1, tau2, tau3 = own[0], own[1], own[2], own[3]
        p01, p02, p03, p12, p13, p23 = own[8], own[9], own[10], own[11], own[12], own[13]
        for j in range(COLUMNS):
            x3 = tau3 * s3[j]
            x2 = tau2 * (s2[j] - p23 * x3)
            x1 = tau1 * (s1[j] - p12 * x2 - p13 * x3)
            w0[j] = tau0 * (s0[j] - p01 * x1 - p02 * x2 - p03 * x3)
            w1[j] = x1
            w2[j] = x2
            w3[j] = x3
        this = v + BYTES * GROUP * start
        before = v + BYTES * GROUP * (group_start(max(g - 1, 0), rows) + (GROUP if g else 0))
        subtract(q + top * row, this, before, w.ctypes.data, sums.ctypes.data, rows - top)
    if row_step > column_step:
        for i in range(rows):
            for j in range(width):
                write(out, i * row_step + (left + j) * column_step, buffer[i, j], double)
    else:  # the rows of a wide matrix
        for j in range(width):
            for i in range(rows):
                write(out, i * row_step + (left + j) * column_step, buffer[i, j], double)


def _whole(  # type: ignore[no-untyped-def]
    values, rows, columns, gain, read_row, read_column, out, row_step, column_step, double
):
    """All of it on one thread."""
    count = (columns + GROUP - 1) // GROUP
    groups = np.empty((group_start(count - 1, rows) + rows - GROUP * (count - 1), GROUP))
    factors = np.empty((count, FACTORS))
    buffer = np.empty((rows, COLUMNS))
    pack(values, groups, rows, columns, 0, rows, 0, count, 0, read_row, read_column)
    prepare(groups, factors, rows, columns, gain, 0, count)
    for left in range(0, columns, COLUMNS):
        strip(groups, factors, rows, columns, left, buffer, out, row_step, column_step, double)


class Kernels(NamedTuple):
    """The compiled functions, and the columns of a strip."""

    pack: Callable[..., None]
    prepare: Callable[..., None]
    strip: Callable[..., None]
    whole: Callable[..., None]
    columns: int


@lru_cache
def kernels(shape: tuple[int, int] | None = None) -> Kernels:
    """The kernels for strips of this shape; by default ``strip_shape()``."""
    lanes, columns = shape or strip_shape()
    scope: dict[str, Any] = dict(np=np, put=put, subtract=_subtract(lanes, columns), BYTES=BYTES)
    scope |= dict(GROUP=GROUP, FACTORS=FACTORS, COLUMNS=columns)
    for inlined in (group_start, write):
        bound = types.FunctionType(inlined.__code__, scope, inlined.__name__)
        scope[inlined.__name__] = numba.njit(error_model="numpy", forceinline=True)(bound)
    for template in (_pack, _prepare, _strip, _whole):
        bound = types.FunctionType(template.__code__, scope, template.__name__)
        bound.__qualname__ = f"{template.__name__}_{source_hash()}_{lanes}_{columns}"
        bound.__module__ = __name__
        scope[template.__name__.removeprefix("_")] = compiled(bound)
    return Kernels(scope["pack"], scope["prepare"], scope["strip"], scope["whole"], columns)


def _subtract(lanes: int, columns: int) -> Any:
    """What ``_strip`` spends its time in, written in vectors: numba's own loops reach a fifth.

    subtract(q, v, u, w, sums, rows): q -= v w, then sums = u^T q, for addresses of q[rows,
    columns], v[rows, 4], u[rows, 4], w[4, columns] and sums[4, columns].  w and the sums stay in
    registers.  Every multiplication and addition is one llvm.fma, row after row.
    """
    vector, i64 = ir.VectorType(ir.DoubleType(), lanes), ir.IntType(64)
    parts = range(columns // lanes)
    reflections = range(GROUP)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        q, v, u, w, sums, rows = args
        name = f"llvm.fma.v{lanes}f64"
        kind = ir.FunctionType(vector, [vector] * 3)
        insert: Callable[..., Any] = cgutils.get_or_insert_function
        fma = insert(builder.module, kind, name)

        def pointer(address: Any, offset: int, kind: Any) -> Any:
            return builder.inttoptr(builder.add(address, i64(BYTES * offset)), kind.as_pointer())

        def load(address: Any, offset: int, kind: Any = vector) -> Any:
            return builder.load(pointer(address, offset, kind), align=BYTES)

        def store(value: Any, address: Any, offset: int) -> None:
            builder.store(value, pointer(address, offset, vector), align=BYTES)

        def spread(number: Any) -> Any:
            empty = ir.Constant(vector, ir.Undefined)
            one = builder.insert_element(empty, number, ir.IntType(32)(0))
            lane = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
            return builder.shuffle_vector(one, empty, lane)

        weights = [[load(w, b * columns + lanes * p) for p in parts] for b in reflections]
        entry = builder.block
        loop = builder.append_basic_block("rows")
        end = builder.append_basic_block("end")
        builder.branch(loop)  # there is always a row
        builder.position_at_end(loop)
        i = builder.phi(i64)
        total = [[builder.phi(vector) for _ in parts] for _ in reflections]
        here = builder.add(q, builder.mul(i, i64(BYTES * columns)))
        coefficient = builder.mul(i, i64(BYTES * GROUP))
        this, before = builder.add(v, coefficient), builder.add(u, coefficient)
        row = [load(here, lanes * p) for p in parts]
        for b in reflections:
            factor = spread(builder.fneg(load(this, b, ir.DoubleType())))
            row = [builder.call(fma, (factor, weights[b][p], row[p])) for p in parts]
        for p in parts:
            store(row[p], here, lanes * p)
        following = builder.add(i, i64(1))
        i.add_incoming(i64(0), entry)
        i.add_incoming(following, loop)
        added = []
        for b in reflections:
            factor = spread(load(before, b, ir.DoubleType()))
            added.append([builder.call(fma, (factor, row[p], total[b][p])) for p in parts])
            for p in parts:
                total[b][p].add_incoming(ir.Constant(vector, [0.0] * lanes), entry)
                total[b][p].add_incoming(added[b][p], loop)
        builder.cbranch(builder.icmp_signed("<", following, rows), loop, end)
        builder.position_at_end(end)
        for b in reflections:
            for p in parts:
                store(added[b][p], sums, b * columns + lanes * p)
        return context.get_dummy_value()

    @intrinsic
    def subtract(typingctx: Any, q: Any, v: Any, u: Any, w: Any, sums: Any, rows: Any) -> Any:
        """Emit the loop."""
        return nbt.void(*(nbt.intp,) * 5, nbt.int64), codegen

    return subtract
