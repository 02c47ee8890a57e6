"""``sparse_``: exact counts, a uniformly random subset in every column, normal values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

import tritoninit
from tests.statistics.checks import (
    SIGNIFICANCE,
    chi_square,
    kolmogorov_smirnov,
    moments,
)
from tests.statistics.distributions import Normal
from tests.statistics.masks import Zeros, pairs_p_value, subsets_p_value
from tritoninit import init

KEY = tritoninit.Key(20260102)


def zeros_of(rows: int, columns: int, sparsity: float) -> Zeros:
    """The mask, seen on float64 values, of which none is zero by chance.

    One float32 normal in 2**25 is: the uniform number of its radius rounds to 1.
    """
    out = torch.full((rows, columns), math.nan, dtype=torch.float64)
    init.sparse_(out, sparsity, std=1.0, generator=KEY)
    return (out == 0).numpy()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_mask_is_the_same_in_every_dtype(dtype: torch.dtype) -> None:
    out = init.sparse_(torch.empty(300, 70, dtype=dtype), 0.3, std=1.0, generator=KEY)
    np.testing.assert_array_equal((out == 0).numpy(), zeros_of(300, 70, 0.3))


@pytest.mark.parametrize("sparsity", [0.0, 1e-9, 0.1, 1 / 3, 0.5, 0.9, 1.0])
@pytest.mark.parametrize(
    ("rows", "columns"), [(1, 1), (1, 9), (2, 3), (7, 5), (64, 33), (1000, 3), (300_001, 2)]
)
def test_exact_number_of_zeros(rows: int, columns: int, sparsity: float) -> None:
    per_column = zeros_of(rows, columns, sparsity).sum(axis=0)
    assert per_column.tolist() == [math.ceil(sparsity * rows)] * columns


@pytest.mark.parametrize(("rows", "zeros"), [(2, 1), (4, 2), (6, 3), (8, 2), (8, 4)])
def test_every_subset_is_as_likely(rows: int, zeros: int) -> None:
    assert subsets_p_value(zeros_of(rows, 400_000, zeros / rows)) > SIGNIFICANCE


@pytest.mark.parametrize(("rows", "zeros"), [(64, 16), (200, 100)])
def test_every_pair_is_as_likely(rows: int, zeros: int) -> None:
    assert pairs_p_value(zeros_of(rows, 50_000, zeros / rows)) > SIGNIFICANCE


def test_columns_are_independent() -> None:
    """Neighbouring columns share as many zeros as chance gives (hypergeometric mean)."""
    rows, size = 16, 8
    zeros = zeros_of(rows, 200_000, size / rows)
    shared = (zeros[:, :-1:2] & zeros[:, 1::2]).sum(axis=0)
    law = stats.hypergeom(rows, size, size)
    number = np.bincount(shared, minlength=size + 1)
    assert chi_square(number, law.pmf(np.arange(size + 1))) > SIGNIFICANCE


def test_zeros_are_independent_of_values() -> None:
    out = init.sparse_(torch.empty(1024, 8192), 0.25, std=0.5, generator=KEY).numpy()
    kept = out[~zeros_of(1024, 8192, 0.25)]
    assert kept.size == 768 * 8192
    law = Normal(0.5)
    assert kolmogorov_smirnov(np.sort(kept), law) > SIGNIFICANCE
    assert min(moments(kept, law)) > SIGNIFICANCE


def test_broken_masks_are_rejected() -> None:
    rng = np.random.default_rng(0)
    columns = 400_000
    # One column in fifty takes the first rows instead of a random subset.
    first = zeros_of(6, columns, 0.5)
    first[:, ::50] = np.arange(6)[:, None] < 3
    assert subsets_p_value(first) < SIGNIFICANCE
    # A random cyclic run of rows: each row is as likely as any other, but pairs are not.
    start = rng.integers(0, 64, 50_000)
    runs = (np.arange(64)[:, None] - start) % 64 < 16
    assert runs.mean(axis=1).std() < 0.01
    assert pairs_p_value(runs) < SIGNIFICANCE
