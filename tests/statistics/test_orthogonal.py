"""``orthogonal_``: orthogonality, and Haar's law of the entries and of the eigenvalues."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

import tritoninit
from tests.statistics.checks import SIGNIFICANCE, two_sided
from tritoninit import init

EPSILON = float(torch.finfo(torch.float32).eps)
MATRICES = 2000
SIZE = 5
LARGER = 30  # more than one strip
POWERS = 6  # of which the traces are tested


@pytest.mark.parametrize(
    "shape",
    [(64, 64), (200, 30), (30, 200), (1, 7), (7, 1), (16, 3, 5, 2), (1, 1)],
    ids=str,
)
@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_rows_or_columns_are_orthonormal(shape: tuple[int, ...], gain: float) -> None:
    """Entries are rounded once: an inner product is off by some eps / 2 * sqrt(n) * |q|."""
    out = init.orthogonal_(torch.empty(shape), gain, generator=tritoninit.Key(1))
    assert departure(out.reshape(shape[0], -1).to(torch.float64) / gain) < 2 * EPSILON


@pytest.mark.parametrize("shape", [(2048, 2048), (4096, 300), (300, 4096)], ids=str)
def test_large_matrices_are_orthonormal(shape: tuple[int, int]) -> None:
    """To the rounding to float32: a smaller share of eps as entries shrink."""
    out = init.orthogonal_(torch.empty(shape), generator=tritoninit.Key(1))
    assert departure(out.to(torch.float64)) < EPSILON / 2


def departure(matrix: torch.Tensor) -> float:
    """The largest entry of Q^T Q - I, of the transposed if it is wide."""
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    gram = tall.T @ tall
    gram.diagonal().sub_(1.0)
    return float(gram.abs().max())


def matrices(size: int) -> np.ndarray:
    drawn = [
        init.orthogonal_(torch.empty(size, size), generator=tritoninit.Key(2).fold_in(i)).numpy()
        for i in range(MATRICES)
    ]
    return np.stack(drawn)


def haar_p_values(sample: np.ndarray) -> dict[str, float]:
    """A squared entry is Beta(1/2, (n - 1)/2); signs and determinants are balanced."""
    size = sample.shape[1]
    law = stats.beta(0.5, (size - 1) / 2)
    found = {}
    for row, column in ((0, 0), (size - 1, 0), (0, size - 1), (2, 3), (size - 1, size - 1)):
        entry = sample[:, row, column].astype(np.float64)
        found[f"square {row},{column}"] = float(stats.kstest(entry**2, law.cdf).pvalue)
        found[f"sign {row},{column}"] = two_sided(int((entry > 0).sum()), len(sample), 0.5)
    positive = int((np.linalg.det(sample) > 0).sum())
    found["determinant"] = two_sided(positive, len(sample), 0.5)
    return found


def eigenvalue_p_values(sample: np.ndarray) -> dict[str, float]:
    """The sum of the eigenvalues' k-th powers, e^(i k phase): mean 1 if k is even, else 0.

    Its variance is k, for sizes of at least 2 k (Diaconis and Shahshahani, J. Appl. Probab. 31A,
    1994).
    """
    found = {}
    power = np.eye(sample.shape[1])
    for k in range(1, POWERS + 1):
        power = power @ sample.astype(np.float64)
        trace = np.trace(power, axis1=1, axis2=2)
        z = (trace.mean() - (k % 2 == 0)) / math.sqrt(k / len(sample))
        found[f"trace of power {k}"] = float(2 * stats.norm.sf(abs(z)))
        spread = trace - (k % 2 == 0)
        z = ((spread**2).mean() / k - 1) / math.sqrt(2 / len(sample))  # fourth moment 3 k^2
        found[f"its square {k}"] = float(2 * stats.norm.sf(abs(z)))
    return found


@pytest.mark.parametrize("size", [SIZE, LARGER])
def test_haar(size: int) -> None:
    sample = matrices(size)
    found = haar_p_values(sample)
    if size >= 4 * POWERS:  # so many moments of the traces are the normal's
        found |= eigenvalue_p_values(sample)
    assert min(found.values()) > SIGNIFICANCE, found


def test_qr_without_the_sign_correction_is_rejected() -> None:
    """LAPACK's Q alone: the diagonal of R has whatever signs the reflections give it."""
    rng = np.random.default_rng(3)
    for size in (SIZE, LARGER):
        q = np.linalg.qr(rng.standard_normal((MATRICES, size, size)))[0]
        assert min(haar_p_values(q).values()) < SIGNIFICANCE
    assert min(eigenvalue_p_values(q).values()) < SIGNIFICANCE


def test_rotations_alone_are_rejected() -> None:
    """Half of the matrices negated, so that no determinant is -1."""
    sample = matrices(SIZE)
    turned = sample * np.where(np.linalg.det(sample) > 0, 1.0, -1.0)[:, None, None]
    assert min(haar_p_values(turned).values()) < SIGNIFICANCE
