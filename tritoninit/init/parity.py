"""Errors that are torch's own: provoked on a scratch tensor, so that type and text agree."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tritoninit.layout import DTYPES
from tritoninit.recipe import Normal, Orthogonal, Recipe, Sparse, TruncNormal, Uniform


def _scratch(dtype: torch.dtype, size: int) -> Tensor:
    return torch.empty((size, size), dtype=dtype, device="cpu")


def check_uniform(tensor: Tensor, a: float, b: float) -> None:
    """Raise what ``Tensor.uniform_`` raises for these bounds and this dtype."""
    real = tensor.dtype.to_real() if tensor.is_complex() else tensor.dtype
    limit = torch.finfo(real).max if real.is_floating_point else math.inf
    if not (a <= b and -limit <= a and b <= limit and b - a <= limit):
        _scratch(tensor.dtype, 0).uniform_(a, b)
        raise ValueError(f"uniform_ expects finite bounds with a <= b, got a={a}, b={b}")


def check_normal(tensor: Tensor, mean: float, std: float) -> None:
    """Raise what ``Tensor.normal_`` raises; NaN and infinities, which it accepts, as well."""
    if not std >= 0:
        _scratch(torch.float32, 0).normal_(mean, std)
    if not (math.isfinite(mean) and math.isfinite(std)):
        raise ValueError(f"normal_ expects a finite mean and std, got mean={mean}, std={std}")


def check_random_dtype(tensor: Tensor, recipe: Recipe) -> None:
    """Raise what torch raises for a dtype that it does not draw ``recipe`` in."""
    dtype = tensor.dtype
    if dtype in DTYPES:
        return
    if dtype.is_complex and isinstance(recipe, Uniform | Normal | Sparse):
        return
    # A generator of its own, so that the attempt leaves the global one alone.
    generator = torch.Generator()
    if isinstance(recipe, Uniform):
        _scratch(dtype, 1).uniform_(generator=generator)
    elif isinstance(recipe, TruncNormal):
        torch.nn.init.trunc_normal_(_scratch(dtype, 1), generator=generator)
    elif isinstance(recipe, Orthogonal):
        torch.nn.init.orthogonal_(_scratch(dtype, 1), generator=generator)
    else:
        _scratch(dtype, 1).normal_(generator=generator)
    raise NotImplementedError(f"{recipe} is not implemented for dtype {dtype}")
