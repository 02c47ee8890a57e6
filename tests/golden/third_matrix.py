"""Complex normals and orthogonal matrices again, from ``tritoninit/STREAM.md`` alone."""

import math

from tests.golden import third, third64


def complex_normal(key, i, mean, std, normal=third.normal):
    part = std / math.sqrt(2)
    return complex(normal(key, 2 * i, mean, part), normal(key, 2 * i + 1, mean, part))


def orthogonal(key, rows, columns, gain):
    """The matrix before it is rounded to its dtype, as rows."""
    across = range(columns)
    g = [[third64.normal(key, r * columns + c, 0.0, 1.0) for c in across] for r in range(rows)]
    if rows < columns:
        g = transposed(g)
    tall, n = max(rows, columns), min(rows, columns)
    mirrors, signs = [], []
    for k in range(n):
        x = [0.0] * k + [row[k] for row in g[k:]]
        signs.append(-math.copysign(1.0, x[k]))
        x[k] -= signs[k] * math.hypot(*x)
        mirrors.append(x)
    q = [[gain * signs[k] * (r == k) for k in range(n)] for r in range(tall)]
    for x in reversed(mirrors):
        reflect(x, q)
    return transposed(q) if rows < columns else q


def transposed(matrix):
    return [list(column) for column in zip(*matrix, strict=True)]


def reflect(x, matrix):
    """Each column at the plane orthogonal to x."""
    square = math.fsum(entry * entry for entry in x)
    for c in range(len(matrix[0])):
        share = 2 * math.fsum(entry * row[c] for entry, row in zip(x, matrix, strict=True)) / square
        for entry, row in zip(x, matrix, strict=True):
            row[c] -= share * entry
