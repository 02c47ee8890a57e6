"""2**26 samples of each distribution against its exact law, in float32, bfloat16 and float16.

Each check is also run on samples that are wrong in a known way, which it must reject.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

import tritoninit
from tests.statistics.checks import (
    SAMPLES,
    SIGNIFICANCE,
    cells,
    chi_square,
    counts,
    discrete_kolmogorov_smirnov,
    kolmogorov_smirnov,
    moments,
    tails,
    two_sided,
)
from tests.statistics.distributions import Distribution, Normal, Uniform
from tritoninit import init

TRUNCATIONS = [  # std, a, b
    (0.02, -2.0, 2.0),
    (0.001, -2.0, 2.0),
    (1.0, -2.0, 2.0),
    (1.0, 3.0, 5.0),
    (1.0, -10.0, -8.0),
    (1.0, 37.0, 38.0),
    (1.0, -0.001, 0.001),
    (1.0, -3.0, 3.0),
    (1.0, -4.0, 1.0),
    (1.0, 0.0, math.inf),
    (1.0, -math.inf, -3.0),
]
LOW_PRECISION = [torch.bfloat16, torch.float16]
FEWER = 1 << 24  # samples are enough to find the errors of the broken samplers
KEY = tritoninit.Key(20260101)
FAR = "ignore:mean is more than 2 std from:UserWarning"

truncations = pytest.mark.parametrize(("std", "a", "b"), TRUNCATIONS)
low_precision = pytest.mark.parametrize("dtype", LOW_PRECISION, ids=str)


def drawn(
    law: Distribution, dtype: torch.dtype = torch.float32, count: int = SAMPLES
) -> torch.Tensor:
    """Samples through the public functions."""
    out = torch.full((count,), math.nan, dtype=dtype)
    if isinstance(law, Uniform):
        return init.uniform_(out, law.a, law.b, generator=KEY)
    assert isinstance(law, Normal)
    if law.a == -law.b == -math.inf:
        return init.normal_(out, law.mean, law.std, generator=KEY)
    return init.trunc_normal_(out, law.mean, law.std, law.a, law.b, generator=KEY)


def p_values(values: npt.NDArray[np.float32], law: Distribution) -> dict[str, float]:
    """Every check of float32 samples."""
    found = {f"moment {k + 1}": p for k, p in enumerate(moments(values, law))}
    ordered = np.sort(values)
    found["Kolmogorov-Smirnov"] = kolmogorov_smirnov(ordered, law)
    for k, p in enumerate(tails(ordered, law)):
        found[f"{'above' if k % 2 else 'below'} {3 + k // 2} sigma"] = p
    if isinstance(law, Normal):
        found |= at_bounds(values, law)
    return found


def at_bounds(values: npt.NDArray[np.float32], law: Normal) -> dict[str, float]:
    """Samples on a bound against the probability of what rounds to it; none may be outside."""
    assert values.min() >= law.a
    assert values.max() <= law.b
    found = {}
    for bound, toward in ((law.a, law.b), (law.b, law.a)):
        if math.isinf(bound):
            continue
        rounded = np.float32(bound)
        end = rounded if law.a <= rounded <= law.b else np.nextafter(rounded, np.float32(toward))
        middle = (float(end) + float(np.nextafter(end, np.float32(toward)))) / 2
        probability = law.interval(min(bound, middle), max(bound, middle))
        count = int(np.count_nonzero(values == end))
        found[f"on {bound}"] = two_sided(count, values.size, probability)
    return found


def rejected(found: dict[str, float]) -> dict[str, float]:
    return {name: p for name, p in found.items() if not p > SIGNIFICANCE}


def discrete_p_values(
    sample: torch.Tensor, law: Distribution, probability: npt.NDArray[np.float64] | None = None
) -> dict[str, float]:
    """Every check of bfloat16 and float16 samples; nothing may lie outside the bounds."""
    values, number = counts(sample)
    inside = (values >= law.a) & (values <= law.b)
    assert number[~inside].sum() == 0
    values, number = values[inside], number[inside]
    if probability is None:
        probability = cells(values, law)
    assert probability.sum() == pytest.approx(1.0, abs=1e-9)
    return {
        "chi-square": chi_square(number, probability),
        "Kolmogorov-Smirnov": discrete_kolmogorov_smirnov(number, probability),
        "on the lower bound": two_sided(int(number[0]), sample.numel(), probability[0]),
        "on the upper bound": two_sided(int(number[-1]), sample.numel(), probability[-1]),
    }


def test_uniform() -> None:
    law = Uniform(-1.5, 0.5)
    values = drawn(law).numpy()
    assert values.min() >= law.a
    assert values.max() < law.b
    assert rejected(p_values(values, law)) == {}


def test_uniform_lattice() -> None:
    """Of k / 2**24 in [0, 1), the low eight bits of k are as random as the high ones."""
    k = (drawn(Uniform(0.0, 1.0)) * 2**24).to(torch.int32).numpy()
    assert lattice_p_value(k) > SIGNIFICANCE


def lattice_p_value(k: npt.NDArray[np.int32]) -> float:
    return chi_square(np.bincount(k & 255, minlength=256), np.full(256, 1 / 256))


@low_precision
def test_uniform_low_precision(dtype: torch.dtype) -> None:
    """Against all 2**24 values of the float32 lattice, each rounded once."""
    lattice = (torch.arange(2**24, dtype=torch.float32) / 2**24).to(dtype)
    law = Uniform(0.0, 1.0)
    values, exact = counts(lattice)
    inside = (values >= law.a) & (values <= law.b)
    probability = exact[inside] / 2**24
    assert rejected(discrete_p_values(drawn(law, dtype), law, probability)) == {}


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.5, 0.02)])
def test_normal(mean: float, std: float) -> None:
    law = Normal(std, mean=mean)
    assert rejected(p_values(drawn(law).numpy(), law)) == {}


@low_precision
def test_normal_low_precision(dtype: torch.dtype) -> None:
    law = Normal(0.02)
    assert rejected(discrete_p_values(drawn(law, dtype), law)) == {}


@truncations
@pytest.mark.filterwarnings(FAR)
def test_truncated_normal(std: float, a: float, b: float) -> None:
    law = Normal(std, a, b)
    assert rejected(p_values(drawn(law).numpy(), law)) == {}


@low_precision
@truncations
@pytest.mark.filterwarnings(FAR)
def test_truncated_normal_low_precision(std: float, a: float, b: float, dtype: torch.dtype) -> None:
    law = Normal(std, a, b)
    assert rejected(discrete_p_values(drawn(law, dtype), law)) == {}


def wider(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return values * np.float32(1.01)


def signed(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """One negative value in five hundred turned positive."""
    copy = values.copy()
    copy[::500] = np.abs(copy[::500])
    return copy


def cut(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """No value beyond 3.5 sigma."""
    return np.clip(values, np.float32(-3.5), np.float32(3.5))


def mirrored_tails(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Beyond 2.5 sigma below the mean: put as far above the lower bound, -4, as it was below."""
    far = values < -2.5
    return np.where(far, np.float32(-6.5) - values, values)


def stuck(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """One value in a million on the upper bound."""
    copy = values.copy()
    copy[:: 10**6] = 2.0
    return copy


@pytest.mark.parametrize(
    ("law", "broken", "checks"),
    [
        (Normal(1.0), wider, {"Kolmogorov-Smirnov", "moment 2", "moment 4", "above 4 sigma"}),
        (Normal(1.0), signed, {"Kolmogorov-Smirnov", "moment 1"}),
        (Normal(1.0), cut, {"below 4 sigma", "above 4 sigma"}),
        (Normal(1.0, -4.0, 1.0), mirrored_tails, {"Kolmogorov-Smirnov", "below 3 sigma"}),
        (Normal(1.0, -2.0, 2.0), stuck, {"on 2.0"}),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_broken_sampler_is_rejected(law: Normal, broken: Any, checks: set[str]) -> None:
    found = rejected(p_values(broken(drawn(law, count=FEWER).numpy()), law))
    assert checks <= set(found), found


def test_a_16_bit_lattice_is_rejected() -> None:
    k = (drawn(Uniform(0.0, 1.0), count=FEWER) * 2**24).to(torch.int32).numpy()
    assert lattice_p_value(k & ~255) < SIGNIFICANCE


@low_precision
def test_broken_low_precision_is_rejected(dtype: torch.dtype) -> None:
    """Rounded toward zero instead of to the nearest; a clamp that collects one in 10,000."""
    law = Normal(1.0, -2.0, 2.0)
    exact = drawn(law, count=FEWER)
    bits = 16 if dtype == torch.bfloat16 else 13
    mask = torch.tensor(-(1 << bits), dtype=torch.int32)
    shortened = (exact.view(torch.int32) & mask).view(torch.float32).to(dtype)
    assert "chi-square" in rejected(discrete_p_values(shortened, law))
    collected = exact.clone()
    collected[::10_000] = -2.0
    found = discrete_p_values(collected.to(dtype), law)
    assert "on the lower bound" in rejected(found), found
