"""The kernel whose launch choices are arguments writes the shipped kernels' bits."""

from __future__ import annotations

import math

import pytest
import torch

from tests.conformance.backends import AVAILABLE
from tests.conformance.cases import KEY
from tritoninit import init
from tritoninit.layout import DTYPES

if "triton" not in AVAILABLE:
    pytest.skip("Triton is not installed", allow_module_level=True)

from benchmarks.bench_tuning import RECIPES
from benchmarks.tuning_kernel import Choice, fill

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
NUMEL = 6 * 4096
LARGE = Choice(block=2048, warps=8, cache=".cs")
RESIDENT = Choice(block=512, registers=128, resident=5)
CASES = [  # the machine that runs PTX knows no cache policies, of evict_first
    *(
        ("normal_", d, choice)
        for d in (torch.float32, torch.bfloat16)
        for choice in (LARGE, RESIDENT)
    ),
    ("uniform_", torch.bfloat16, RESIDENT),
    ("trunc_normal_", torch.float32, Choice()),
]


@pytest.mark.parametrize(("op", "dtype", "choice"), CASES, ids=str)
def test_no_choice_changes_a_bit(op: str, dtype: torch.dtype, choice: Choice) -> None:
    expected = getattr(init, op)(torch.empty(NUMEL, dtype=dtype), generator=KEY)
    out = torch.full((NUMEL + 16,), math.nan, dtype=dtype, device=DEVICE)
    fill(out[8:-8], RECIPES[op], KEY, DTYPES[dtype], choice, processors=1)
    assert torch.equal(out[8:-8].cpu(), expected)
    assert bool(out[:8].isnan().all() and out[-8:].isnan().all())
