"""Long draws of every sampler: enough words that a change of any branch or rounding shows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch

from tritoninit import Key, fingerprint
from tritoninit.fill import fill
from tritoninit.recipe import Normal, Recipe, TruncNormal, Uniform

COUNT = 2**22
KEY = Key(2026).fold_in("long")
DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
RECIPES: dict[str, Recipe] = {
    "uniform": Uniform(-1.0, 2.0),
    "normal": Normal(0.5, 0.02),
    "clamped normal": TruncNormal(0.0, 0.02, -2.0, 2.0),
    "rational": TruncNormal(0.0, 1.0, -2.0, 2.0),
    "rational, one side": TruncNormal(1.0, 2.0, 0.5, 4.0),
    "log": TruncNormal(0.0, 1.0, -3.0, 3.0),
    "tails": TruncNormal(0.0, 1.0, -5.0, 4.0),
    "tails, one side": TruncNormal(0.25, 0.5, -4.0, 1.0),
    "tail from the mean": TruncNormal(0.0, 1.0, 0.0, math.inf),
    "tail": TruncNormal(0.0, 1.0, -10.0, -8.0),
    "tail of a narrow interval": TruncNormal(0.0, 1.0, 3.0, 3.001),
}


class Draw(NamedTuple):
    """COUNT elements of a sampler in a dtype."""

    name: str
    dtype: torch.dtype

    def __str__(self) -> str:
        return f"{self.name}, {str(self.dtype).removeprefix('torch.')}"

    def sum(self, device: str = "cpu") -> str:
        """The fingerprint of the values."""
        tensor = torch.empty(COUNT, dtype=self.dtype, device=device)
        fill(tensor, RECIPES[self.name], KEY.fold_in(self.name))
        return fingerprint({self.name: tensor})


def draws() -> Iterator[Draw]:
    """All that are recorded."""
    for name in RECIPES:
        for dtype in DTYPES:
            yield Draw(name, dtype)
