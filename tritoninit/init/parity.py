"""Errors that are torch's own: provoked on a scratch tensor, so that type and text agree."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tritoninit.init.exchange import untouched
from tritoninit.layout import DTYPES
from tritoninit.recipe import Eye, Normal, Orthogonal, Recipe, Sparse, TruncNormal, Uniform


def _scratch(dtype: torch.dtype, device: str = "cpu") -> Tensor:
    return torch.empty((1, 1), dtype=dtype, device=device)


def _private() -> torch.Generator:
    """A generator of its own, so that an attempt leaves every other one alone."""
    return torch.Generator()


def _real(dtype: torch.dtype) -> torch.dtype:
    return dtype.to_real() if dtype.is_complex else dtype


def as_float(name: str, value: Any) -> float:
    """``value`` as a float; TypeError where it is not a real number."""
    if not hasattr(value, "__float__"):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    return float(value)


def as_floats(method: str, first: Any, second: Any) -> tuple[float, float]:
    """Both values as floats; raises what ``Tensor.<method>`` raises for what is no number."""
    if not (isinstance(first, NUMBERS) and isinstance(second, NUMBERS)):
        with contextlib.suppress(RuntimeError):  # bounds; they depend on the tensor's dtype
            getattr(_scratch(torch.float64), method)(first, second, generator=_private())
    return float(first), float(second)


NUMBERS = (float, int)
SINGLE_MAX = torch.finfo(torch.float32).max
NARROWEST = 2.0**-102  # below it (b - a) / 2**24 is subnormal in float32 and loses its bits
NARROWEST64 = 2.0**-969  # below it (b - a) / 2**53 is in float64


def check_uniform(tensor: Tensor, a: float, b: float) -> None:
    """Raise what ``Tensor.uniform_`` raises for these bounds and this dtype."""
    if (
        tensor.dtype is torch.float32
        and -SINGLE_MAX / 2 <= a <= b - NARROWEST
        and (b <= SINGLE_MAX / 2)
    ):
        return
    limit = _largest(tensor.dtype)
    if not (a <= b and -limit <= a and b <= limit and b - a <= limit):
        _scratch(tensor.dtype).uniform_(a, b, generator=_private())
        raise ValueError(f"uniform_ expects finite bounds with a <= b, got a={a}, b={b}")
    least = NARROWEST64 if _real(tensor.dtype) == torch.float64 else NARROWEST
    if 0 < b - a < least:
        power = f"2**{int(math.log2(least))}"
        raise ValueError(f"uniform_ expects b - a to be 0 or at least {power}, got a={a}, b={b}")


def check_truncation(tensor: Tensor, mean: float, std: float, a: float, b: float) -> None:
    """Raise what ``Tensor.uniform_`` raises where [a, b] is empty or holds no finite value."""
    limit = _largest(tensor.dtype)
    if not (a <= b and a <= limit and -limit <= b):
        check_uniform(tensor, a, b)


def _largest(dtype: torch.dtype) -> float:
    real = _real(dtype)
    packed = real == torch.float4_e2m1fn_x2  # two numbers an element: torch knows no largest
    return torch.finfo(real).max if real.is_floating_point and not packed else math.inf


def check_normal(tensor: Tensor, mean: float, std: float) -> None:
    """Raise what ``Tensor.normal_`` raises; for NaN, which it accepts, and infinity as well.

    A mean or std that the arithmetic (float32, for float64 float64) rounds to infinity counts
    as infinite.
    """
    if tensor.dtype in DTYPES and 0 <= std <= SINGLE_MAX and -SINGLE_MAX <= mean <= SINGLE_MAX:
        return
    meta = tensor.is_meta
    inexact = tensor.is_floating_point() or tensor.is_complex()
    if not std >= 0 or (meta and not inexact):
        dtype = tensor.dtype if meta else torch.float32
        _scratch(dtype, "meta" if meta else "cpu").normal_(mean, std)
    double = _real(tensor.dtype) == torch.float64
    limit = torch.finfo(torch.float64 if double else torch.float32).max
    if not (abs(mean) <= limit and std <= limit):
        raise ValueError(
            f"normal_ expects a finite mean and std, at most {limit:.4g} for dtype"
            f" {tensor.dtype}, got mean={mean}, std={std}"
        )


# What a recipe is checked for besides what it checks itself.
CHECKS: dict[type[Recipe], Callable[..., None]] = {
    Uniform: check_uniform,
    Normal: check_normal,
    TruncNormal: check_truncation,
}


def check_random_dtype(tensor: Tensor, recipe: Recipe) -> None:
    """Raise what torch raises for a dtype that it does not draw ``recipe`` in."""
    dtype = tensor.dtype
    if dtype in DTYPES:
        return
    if dtype.is_complex and isinstance(recipe, Uniform | Normal | Sparse):
        return
    if isinstance(recipe, Uniform):
        _scratch(dtype).uniform_(generator=_private())
    elif isinstance(recipe, TruncNormal):
        torchs = getattr(torch.nn.init, "_no_grad_trunc_normal_", torch.nn.init.trunc_normal_)
        untouched(torchs)(_scratch(dtype), 0.0, 1.0, -2.0, 2.0, generator=_private())
    elif isinstance(recipe, Orthogonal):
        untouched(torch.nn.init.orthogonal_)(_scratch(dtype), generator=_private())
    else:
        _scratch(dtype).normal_(generator=_private())
    raise NotImplementedError(f"{recipe} is not implemented for dtype {dtype}")


def check_pattern_dtype(tensor: Tensor, recipe: Recipe) -> None:
    """Raise what torch raises for a dtype that no 1 can be written in (fewer than 8 bits)."""
    if tensor.dtype in DTYPES:
        return
    one = _scratch(tensor.dtype)
    try:
        one.fill_(1)
    except NotImplementedError:
        if isinstance(recipe, Eye):
            torch.nn.init.eye_(one)
        torch.nn.init.dirac_(one[None])
        raise
