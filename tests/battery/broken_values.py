"""Samplers of single values that are wrong in a known way."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from scipy import special

from tests.battery.accumulate import Accumulator
from tests.battery.groups_values import SIGMAS, STANDARD, Case, low_precision
from tests.statistics.distributions import Distribution, Normal, Uniform

Found = dict[str, float]
Floats = npt.NDArray[np.float32]

SAMPLES = 1 << 20


def rng_of() -> np.random.Generator:
    return np.random.default_rng(20260103)  # another generator: what is broken is known


def normals(count: int = SAMPLES) -> Floats:
    return rng_of().standard_normal(count, dtype=np.float32)


def _every(samples: Floats, step: int, change: Callable[[Floats], Floats]) -> Floats:
    out = samples.copy()
    out[::step] = change(out[::step])
    return out


def of_law(samples: Floats, law: Distribution | None = None) -> Found:
    taken = Accumulator(law or Normal(1.0))
    taken.add(samples.astype(np.float32))
    found = taken.p_values()
    if law is None:
        for sigmas in SIGMAS:
            found |= taken.beyond(sigmas)
    return found


def twelve_uniforms() -> Floats:
    return (rng_of().random((12, SAMPLES), dtype=np.float32)).sum(axis=0) - np.float32(6)


def short_radius() -> Floats:
    """Box-Muller from radius words of 10 bits: it ends at 3.9 sigma."""
    rng = rng_of()
    u = (rng.integers(0, 1 << 10, SAMPLES) + 0.5) / (1 << 10)
    return np.asarray(np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * rng.random(SAMPLES)), np.float32)


def truncated(stuck: bool) -> Floats:
    x = normals()
    inside = x[np.abs(x) < 2]
    return _every(inside, 1000, lambda y: np.full_like(y, 2)) if stuck else inside


def beside_one() -> Found:
    """Values near the mean from twice the probability beyond them, which is near 1, in float32."""
    law = Normal(1.0, -(2.0**-8), 2.0**-8)
    x = (2 * rng_of().random(SAMPLES) - 1) * math.erf(law.b / math.sqrt(2))
    beyond = (1 - np.abs(x)).astype(np.float32)
    z = np.copysign(math.sqrt(2) * special.erfinv(1 - beyond.astype(np.float64)), x)
    return of_law(np.clip(z, law.a, law.b), law)


VALUES: dict[str, Callable[[], Found]] = {
    "normal, 2% too wide": lambda: of_law(normals() * np.float32(1.02)),
    "normal, shifted by sigma / 50": lambda: of_law(normals() + np.float32(0.02)),
    "normal, cut at 2.9 sigma": lambda: of_law(np.clip(normals(), -2.9, 2.9)),
    "normal, one in 100 times 3": lambda: of_law(_every(normals(), 100, lambda y: 3 * y)),
    "normal, one in 50 turned positive": lambda: of_law(_every(normals(), 50, np.abs)),
    "normal, the sum of 12 uniforms": lambda: of_law(twelve_uniforms()),
    "normal, a radius of 10 bits": lambda: of_law(short_radius()),
    "uniform, a lattice of 16 bits": lambda: of_law(
        (rng_of().integers(0, 1 << 16, SAMPLES) / (1 << 16)).astype(np.float32), Uniform(0.0, 1.0)
    ),
    "truncated normal, one in 1000 on a bound": lambda: of_law(
        truncated(True), Normal(1.0, -2.0, 2.0)
    ),
    "truncated normal, cut from a normal 2% too wide": lambda: of_law(
        truncated(False) * np.float32(0.98), Normal(1.0, -2.0, 2.0)
    ),
}


def toward_zero() -> Found:
    """Rounded toward zero instead of to the nearest."""
    bits = torch.from_numpy(normals()).view(torch.int32) >> 16 << 16
    patterns = bits.view(torch.float32).to(torch.bfloat16).view(torch.uint16).numpy()
    number = np.bincount(patterns, minlength=1 << 16)
    return low_precision(Case("", STANDARD, SAMPLES, torch.bfloat16), number)


VALUES["truncated normal, on the lattice of a float32 near 1"] = beside_one
VALUES["normal, bfloat16 rounded toward zero"] = toward_zero
