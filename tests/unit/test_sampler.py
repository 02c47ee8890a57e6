"""From recipes to samplers: rounding to a dtype, bounds, kinds and constants."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tritoninit.recipe import (
    Constant,
    Dirac,
    Eye,
    Normal,
    Orthogonal,
    Recipe,
    Sparse,
    TruncNormal,
    Uniform,
)
from tritoninit.sampler import DType, lower, representable_bounds, rounded

TORCH = {dtype: getattr(torch, dtype.value) for dtype in DType}
fixed = settings(derandomize=True, deadline=None)
dtypes = pytest.mark.parametrize("dtype", list(DType), ids=lambda dtype: dtype.value)
doubles = st.floats(allow_nan=False)


def cast(value: float, dtype: DType) -> float:
    """torch's own conversion of a float64, rounded once."""
    if dtype is DType.BFLOAT16 and math.isfinite(value):
        # torch goes through float32; rounding that to odd first keeps the second one right.
        single = np.float32(value)
        if math.isfinite(single) and float(single) != value:
            if abs(float(single)) > abs(value):
                single = np.nextafter(single, np.float32(0))
            single = np.uint32(single.view(np.uint32) | np.uint32(1)).view(np.float32)
        value = float(single)
    return float(torch.tensor(value, dtype=torch.float64).to(TORCH[dtype]))


@dtypes
@fixed
@given(doubles)
def test_rounded_is_one_cast(dtype: DType, value: float) -> None:
    if dtype is DType.FLOAT16 and math.isfinite(value):
        value = max(min(value, 1e6), -1e6)
    with np.errstate(over="ignore"):
        assert rounded(value, dtype) == cast(value, dtype)


@pytest.mark.parametrize(
    ("value", "nearest"),
    [
        (1 + 2.0**-8, 1.0),  # a tie, to even
        (1 + 3 * 2.0**-8, 1 + 2.0**-6),
        (1 + 2.0**-8 + 2.0**-40, 1 + 2.0**-7),  # float32 would round it to the tie first
        (2.0**-134, 0.0),
        (1.5 * 2.0**-134, 2.0**-133),
        (3.39e38, 3.3895313892515355e38),
        (3.4e38, math.inf),
        (-3.4e38, -math.inf),
    ],
)
def test_rounded_to_bfloat16(value: float, nearest: float) -> None:
    assert rounded(value, DType.BFLOAT16) == nearest


@dtypes
@fixed
@given(st.floats(-6e4, 6e4), st.floats(-6e4, 6e4))
def test_representable_bounds(dtype: DType, x: float, y: float) -> None:
    a, b = min(x, y), max(x, y)
    low, high = representable_bounds(a, b, dtype)
    assert cast(low, dtype) == low
    assert cast(high, dtype) == high
    if low < high or a <= low <= b:
        assert a <= low <= high <= b
        below = torch.nextafter(as_tensor(low, dtype), as_tensor(-math.inf, dtype)).item()
        above = torch.nextafter(as_tensor(high, dtype), as_tensor(math.inf, dtype)).item()
        assert below < a
        assert above > b
    else:
        assert low == high == rounded(a / 2 + b / 2, dtype)


def as_tensor(value: float, dtype: DType) -> torch.Tensor:
    return torch.tensor(value, dtype=TORCH[dtype])


@dtypes
@pytest.mark.parametrize("tiny", [1e-60, 2.0**-1074])
def test_bounds_next_to_zero(dtype: DType, tiny: float) -> None:
    low, high = representable_bounds(-tiny, tiny, dtype)
    expected = (-tiny, tiny) if dtype.is_double else (0.0, 0.0)
    assert (low, high) == expected


@dtypes
@pytest.mark.parametrize(
    ("recipe", "single", "double"),
    [
        (Uniform(-1.0, 1.0), "uniform", "uniform"),
        (Normal(0.0, 1.0), "normal", "normal"),
        (TruncNormal(0.0, 0.02, -2.0, 2.0), "clamped_normal", "clamped_normal"),
        (TruncNormal(0.0, 1.0, -2.0, 2.0), "rational", "tails"),
        (TruncNormal(0.0, 1.0, -3.0, 3.0), "log", "tails"),
        (TruncNormal(0.0, 1.0, -4.0, 1.0), "tails", "tails"),
        (TruncNormal(0.0, 1.0, 3.0, 5.0), "tail", "tail"),
        (TruncNormal(0.0, 1.0, 0.5, 0.5), "constant", "constant"),
        (Constant(1.5), "constant", "constant"),
        (Sparse(0.5, 1.0), "normal", "normal"),
        (Sparse(1.0, 1.0), "constant", "constant"),
        (Eye(), "diagonal", "diagonal"),
        (Dirac(1), "diagonal", "diagonal"),
    ],
    ids=str,
)
def test_kinds(recipe: Recipe, single: str, double: str, dtype: DType) -> None:
    sampler = lower(recipe, (4, 6), dtype)
    assert sampler.kind == (double if dtype.is_double else single)
    scalar = np.float64 if dtype.is_double else np.float32
    assert all(scalar(value) == value for value in sampler.params)


def test_orthogonal_has_no_sampler() -> None:
    with pytest.raises(TypeError, match="no sampler for orthogonal"):
        lower(Orthogonal(1.0), (3, 3), DType.FLOAT32)


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"), [(0.0, 1.0, -2.0, 2.0), (0.3, 0.7, -1.0, 1.5), (0.0, 1.0, -3.0, 2.9)]
)
def test_central_argument_stays_inside(mean: float, std: float, a: float, b: float) -> None:
    """scale * k + centre over all int32 k lies in [erf(alpha / sqrt 2), erf(beta / sqrt 2)]."""
    scale, centre, *_ = lower(TruncNormal(mean, std, a, b), (1,), DType.FLOAT32).params
    low, high = (math.erf((bound - mean) / std / math.sqrt(2)) for bound in (a, b))
    slack = 2.0**-24  # one rounding of the result
    assert float(centre) - float(scale) * 2.0**31 >= low - slack
    assert float(centre) + float(scale) * (2.0**31 - 1) <= high + slack


@pytest.mark.parametrize(
    ("shape", "groups", "integers"),
    [
        ((6, 3, 5), 1, (5, 3, 6, 2)),
        ((6, 3, 4, 5), 2, (20, 3, 3, 12)),
        ((2, 2, 3, 3, 3), 1, (27, 2, 2, 13)),
    ],
)
def test_dirac(shape: tuple[int, ...], groups: int, integers: tuple[int, ...]) -> None:
    """(elements of a kernel, channels in, rows of a group, the middle element)."""
    assert lower(Dirac(groups), shape, DType.FLOAT32).integers == integers


def test_arguments_beyond_float32_overflow_to_infinity() -> None:
    assert lower(Normal(0.0, 1e39), (1,), DType.FLOAT32).params == (math.inf, 0.0)
    assert lower(Normal(0.0, 1e39), (1,), DType.FLOAT64).params == (1e39, 0.0)


@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.FLOAT64], ids=lambda d: d.value)
def test_one_sided_bounds_are_measured_from_the_nearer_one(dtype: DType) -> None:
    above = lower(TruncNormal(0.0, 1.0, 3.0, 5.0), (1,), dtype).params
    below = lower(TruncNormal(0.0, 1.0, -5.0, -3.0), (1,), dtype).params
    assert above[-4:] == (-below[-4], 3.0, 3.0, 5.0)
    assert below[-3:] == (-3.0, -5.0, -3.0)
    assert above[:-4] == below[:-4]
