"""``orthogonal_``: orthogonality, and Haar's law of the entries."""

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


@pytest.mark.parametrize("shape", [(64, 64), (200, 30), (30, 200), (1, 7), (7, 1), (16, 3, 5, 2)])
@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_rows_or_columns_are_orthonormal(shape: tuple[int, ...], gain: float) -> None:
    """Entries are rounded once: an inner product is off by some eps / 2 * sqrt(n) * |q|."""
    out = init.orthogonal_(torch.empty(shape), gain, generator=tritoninit.Key(1))
    matrix = out.reshape(shape[0], -1).to(torch.float64) / gain
    if matrix.shape[0] < matrix.shape[1]:
        matrix = matrix.T
    gram = matrix.T @ matrix
    assert (gram - torch.eye(gram.shape[0], dtype=torch.float64)).abs().max() < 2 * EPSILON


def matrices() -> np.ndarray:
    drawn = [
        init.orthogonal_(torch.empty(SIZE, SIZE), generator=tritoninit.Key(2).fold_in(i)).numpy()
        for i in range(MATRICES)
    ]
    return np.stack(drawn)


def haar_p_values(sample: np.ndarray) -> dict[str, float]:
    """A squared entry is Beta(1/2, (n - 1)/2); signs and determinants are balanced."""
    law = stats.beta(0.5, (SIZE - 1) / 2)
    found = {}
    for row, column in ((0, 0), (SIZE - 1, 0), (0, SIZE - 1), (2, 3)):
        entry = sample[:, row, column].astype(np.float64)
        found[f"square {row},{column}"] = float(stats.kstest(entry**2, law.cdf).pvalue)
        found[f"sign {row},{column}"] = two_sided(int((entry > 0).sum()), len(sample), 0.5)
    positive = int((np.linalg.det(sample) > 0).sum())
    found["determinant"] = two_sided(positive, len(sample), 0.5)
    trace = np.trace(sample, axis1=1, axis2=2).astype(np.float64)  # mean 0, variance 1
    found["trace"] = float(2 * stats.norm.sf(abs(trace.mean()) * math.sqrt(len(sample))))
    return found


def test_haar() -> None:
    found = haar_p_values(matrices())
    assert min(found.values()) > SIGNIFICANCE, found


def test_qr_without_the_sign_correction_is_rejected() -> None:
    """LAPACK's Q alone: the diagonal of R has whatever signs the reflections give it."""
    rng = np.random.default_rng(3)
    q = np.linalg.qr(rng.standard_normal((MATRICES, SIZE, SIZE)))[0]
    assert min(haar_p_values(q).values()) < SIGNIFICANCE
