"""What recipes say of themselves."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from tritoninit import Key, init
from tritoninit.recipe import Sparse


@pytest.mark.parametrize("rows", [1, 2, 5, 8, 10])
@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.25, 0.3, 0.5, 0.9, 1.0])
def test_sparse_has_as_many_zeros_as_torchs(rows, sparsity):
    """Also where sparsity * rows is an integer."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torchs = (nn.init.sparse_(torch.empty(rows, 3), sparsity) == 0).sum(0)
        ours = (init.sparse_(torch.empty(rows, 3), sparsity, generator=Key(1)) == 0).sum(0)
    assert torch.equal(ours, torchs)
    assert Sparse(sparsity, 0.01).zeros(rows) == ours[0]
