"""The battery's group that looks at samples of each law, through ``tritoninit.init``."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from tests.battery.accumulate import LEAST, Accumulator
from tests.battery.policy import QUICK, Outcome, folded
from tests.battery.streams import SEED, parameter
from tests.statistics.checks import (
    cells,
    chi_square,
    discrete_kolmogorov_smirnov,
    values_of,
)
from tests.statistics.distributions import Distribution, Normal, Uniform
from tritoninit import init
from tritoninit.stream import Key, parameter_key

CHUNK = 1 << 22  # samples at a time: 16 MiB
NORMALS = 1 << 33
OTHERS = 1 << 30
DOUBLES = 1 << 28
EACH = 1 << 20  # samples of each parameter where many are drawn
SIGMAS = (3, 4, 5, 6)

STANDARD = Normal(1.0)
TRUNCATIONS = [  # one for each form of STREAM.md, and the tail from the mean
    Normal(1.0, -2.0, 2.0),
    Normal(1.0, -3.0, 3.0),
    Normal(1.0, -4.0, 1.0),
    Normal(1.0, 3.0, math.inf),
    Normal(1.0, -math.inf, 0.0),
]

# The samples of one chunk, by its index.
Draw = Callable[[int, torch.Tensor], torch.Tensor]


def fill(out: torch.Tensor, law: Distribution, key: Key, start: int, total: int) -> torch.Tensor:
    """Elements start, start + 1, ... of a tensor of ``total`` elements."""
    part = {"generator": key, "global_shape": (total,), "global_offset": start}
    if isinstance(law, Uniform):
        return init.uniform_(out, law.a, law.b, **part)
    assert isinstance(law, Normal)
    if law.a == -law.b == -math.inf:
        return init.normal_(out, law.mean, law.std, **part)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "mean is more than 2 std from")
        return init.trunc_normal_(out, law.mean, law.std, law.a, law.b, **part)


@dataclass(frozen=True)
class Case:
    """Samples of one law, of one dtype."""

    subject: str
    law: Distribution
    samples: int
    dtype: torch.dtype = torch.float32
    least: float = LEAST  # size below which values are not told apart
    by_name: bool = False  # EACH of every parameter of a model instead of one long tensor

    def chunk(self, index: int, out: torch.Tensor, total: int) -> torch.Tensor:
        """Chunk ``index`` of the samples."""
        if not self.by_name:
            key = parameter_key(SEED, self.subject)
            return fill(out, self.law, key, index * CHUNK, total)
        per = CHUNK // EACH
        for i, part in enumerate(out.view(per, EACH)):
            fill(part, self.law, parameter_key(SEED, parameter(index * per + i)), 0, EACH)
        return out


def accumulate(case: Case, total: int) -> Accumulator:
    """All samples of a case, on all cores."""
    threads = len(os.sched_getaffinity(0))

    def share(first: int) -> Accumulator:
        taken = Accumulator(case.law, case.least)
        out = torch.empty(CHUNK, dtype=case.dtype)
        for index in range(first, total // CHUNK, threads):
            taken.add(case.chunk(index, out, total).numpy())
        return taken

    with ThreadPoolExecutor(threads) as pool:
        result, *others = pool.map(share, range(threads))
    for other in others:
        result.merge(other)
    return result


def histogram(case: Case, total: int) -> torch.Tensor:
    """How often each pattern of a 16-bit dtype was drawn."""
    threads = len(os.sched_getaffinity(0))

    def share(first: int) -> np.ndarray:
        out = torch.empty(CHUNK, dtype=case.dtype)
        number = np.zeros(1 << 16, np.int64)
        for index in range(first, total // CHUNK, threads):
            patterns = case.chunk(index, out, total).view(torch.uint16).numpy()
            number += np.bincount(patterns, minlength=1 << 16)
        return number

    with ThreadPoolExecutor(threads) as pool:
        return torch.from_numpy(sum(pool.map(share, range(threads))))


def low_precision(case: Case, number: np.ndarray) -> dict[str, float]:
    """Counts of every value of a 16-bit dtype against all that rounds to it."""
    values = values_of(case.dtype)
    law = case.law
    inside = np.isfinite(values) & (values >= law.a) & (values <= law.b)
    assert number[~inside].sum() == 0
    distinct, where = np.unique(values[inside] + 0.0, return_inverse=True)  # -0.0 joins 0.0
    observed = np.bincount(where, weights=number[inside]).astype(np.int64)
    probability = cells(distinct, law)
    near = np.abs(distinct) < case.least
    first = np.concatenate([np.flatnonzero(~near), np.flatnonzero(near)[:1]])
    observed, probability = (np.add.reduceat(a, np.sort(first)) for a in (observed, probability))
    return {
        "chi-square over all values": folded(chi_square(observed, probability)),
        "Kolmogorov-Smirnov": discrete_kolmogorov_smirnov(observed, probability),
    }


def cases() -> list[Case]:
    """What is drawn, and how much of it."""
    result = [
        Case("normal, one tensor", STANDARD, NORMALS),
        Case(f"normal, {NORMALS // EACH} parameters", STANDARD, NORMALS, by_name=True),
        Case("uniform", Uniform(0.0, 1.0), OTHERS),
    ]
    for law in TRUNCATIONS:
        subject = f"truncated to [{law.a:g}, {law.b:g}]"
        result.append(Case(subject, law, OTHERS))
    for dtype in (torch.bfloat16, torch.float16):
        name = str(dtype).removeprefix("torch.")
        result.append(Case(f"normal, {name}", STANDARD, OTHERS, dtype, 0.0))
        for law in TRUNCATIONS[:3]:
            subject = f"truncated to [{law.a:g}, {law.b:g}], {name}"
            result.append(Case(subject, law, OTHERS // 4, dtype, 0.0))
    result.append(Case("normal, float64", STANDARD, DOUBLES, torch.float64))
    result.append(Case("uniform, float64", Uniform(0.0, 1.0), DOUBLES, torch.float64))
    result.append(Case("truncated to [-2, 2], float64", TRUNCATIONS[0], DOUBLES, torch.float64))
    return result


def values(quick: bool) -> Iterator[Outcome]:
    """Every law: Kolmogorov-Smirnov, Anderson-Darling, chi-square, moments, tails."""
    for case in cases():
        total = max(CHUNK, case.samples // QUICK // 4) if quick else case.samples
        if case.dtype.itemsize == 2:
            found = low_precision(case, histogram(case, total).numpy())
        else:
            taken = accumulate(case, total)
            found = taken.p_values()
            if case.law == STANDARD:
                for sigmas in SIGMAS:
                    found |= taken.beyond(sigmas)
        for test, p in found.items():
            yield Outcome(case.subject, test, total, p)
