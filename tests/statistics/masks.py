"""p-values of where the zeros of a matrix lie."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats

from tests.statistics.checks import chi_square

Zeros = npt.NDArray[np.bool_]


def subsets_p_value(zeros: Zeros) -> float:
    """Chi-square over all subsets of the rows that may be zero."""
    rows = zeros.shape[0]
    size = int(zeros[:, 0].sum())
    codes = (zeros * (1 << np.arange(rows))[:, None]).sum(axis=0)
    choices = [sum(1 << r for r in rows_) for rows_ in itertools.combinations(range(rows), size)]
    number = np.bincount(codes, minlength=1 << rows)
    assert number.sum() == number[choices].sum()
    return chi_square(number[choices], np.full(len(choices), 1 / len(choices)))


def pairs_p_value(zeros: Zeros) -> float:
    """The largest deviation among all pairs of rows that are zero together (Bonferroni)."""
    rows, columns = zeros.shape
    size = int(zeros[:, 0].sum())
    probability = size * (size - 1) / (rows * (rows - 1))
    ones = torch.from_numpy(zeros).to(torch.float64)
    together = (ones @ ones.T).numpy()[np.triu_indices(rows, 1)]
    spread = math.sqrt(columns * probability * (1 - probability))
    largest = float(np.max(np.abs(together - columns * probability))) / spread
    return min(1.0, 2 * float(stats.norm.sf(largest)) * together.size)
