"""Dependence between samples that each have the right law."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from scipy import special

from tests.battery.lags import lag_products
from tests.battery.policy import folded, largest_p, normal_p, squares_p
from tests.statistics.checks import chi_square

Floats = npt.NDArray[np.float32]
Sums = npt.NDArray[np.float64]

LAGS = 64
GRID = 64  # cells a side


def squares(x: Floats) -> Floats:
    """(x^2 - 1) / sqrt 2: mean 0 and variance 1 for a standard normal x."""
    return np.asarray((x * x - np.float32(1)) * np.float32(math.sqrt(0.5)))


class Serial:
    """Products of standard normals at lags 1 to LAGS and at one more, and of their squares."""

    def __init__(self, far: int) -> None:
        self.far, self.terms = far, 0
        self.sums = {"values": np.zeros(LAGS + 1), "squares": np.zeros(LAGS + 1)}

    def add(self, x: Floats) -> None:
        """Take a stretch; the last ``far`` elements begin no product."""
        last = x.size - self.far
        for name, y in (("values", x), ("squares", squares(x))):
            self.sums[name][:LAGS] += lag_products(y, LAGS, self.far)
            self.sums[name][LAGS] += np.dot(y[:last].astype(np.float64), y[self.far :])
        self.terms += last

    def p_values(self) -> dict[str, float]:
        """All lags together, and the largest."""
        found = {}
        for name, sums in self.sums.items():
            z = sums / math.sqrt(self.terms)
            found[f"{name}, lags 1 to {LAGS} and {self.far}"] = squares_p(z)
            found[f"{name}, the largest of them"] = largest_p(z)
        return found


class Between:
    """The correlation of every pair of some streams of standard normals, and of their squares."""

    def __init__(self, streams: int) -> None:
        self.terms = 0
        self.upper = np.triu_indices(streams, 1)
        self.sums = {name: np.zeros((streams, streams)) for name in ("values", "squares", "mixed")}

    def add(self, x: Floats) -> None:
        """Take as many elements of each stream; one stream a row."""
        # torch's products, which keep to its number of threads.
        values, second = torch.from_numpy(x), torch.from_numpy(squares(x))
        self.sums["values"] += (values @ values.T).numpy()
        self.sums["squares"] += (second @ second.T).numpy()
        self.sums["mixed"] += (values @ second.T).numpy()
        self.terms += x.shape[1]

    def p_values(self) -> dict[str, float]:
        """The sum of squares over all pairs, and the largest."""
        found = {}
        for name, sums in self.sums.items():
            z = sums[self.upper] / math.sqrt(self.terms)
            found[f"{name}, {z.size} pairs"] = squares_p(z)
            found[f"{name}, the largest"] = largest_p(z)
        return found


class Partners:
    """The two normals that one pair of words gives."""

    def __init__(self) -> None:
        self.terms = 0
        self.sums = np.zeros(4)
        self.grid = np.zeros(GRID * GRID, np.int64)
        self.angles = np.zeros(1 << 12, np.int64)

    def add(self, x: Floats) -> None:
        """Take consecutive elements from an even one on."""
        first, second = x[0::2], x[1::2]
        a, b = squares(first), squares(second)
        pairs = ((first, second), (a, b), (first, b), (a, second))
        self.sums += [float(np.dot(u, v)) for u, v in pairs]
        cell = [np.minimum((special.ndtr(u) * GRID).astype(np.int64), GRID - 1) for u in pairs[0]]
        self.grid += np.bincount(cell[0] * GRID + cell[1], minlength=self.grid.size)
        turn = np.arctan2(second, first, dtype=np.float64) / (2 * np.pi) + 0.5
        at = np.minimum((turn * self.angles.size).astype(np.int64), self.angles.size - 1)
        self.angles += np.bincount(at, minlength=self.angles.size)
        self.terms += first.size

    def p_values(self) -> dict[str, float]:
        """Correlations, and the joint law on a grid of equally likely cells."""
        names = ("values", "squares", "value and square", "square and value")
        z = self.sums / math.sqrt(self.terms)
        found = {name: normal_p(float(v)) for name, v in zip(names, z, strict=True)}
        for name, observed in ((f"grid of {GRID} x {GRID}", self.grid), ("angle", self.angles)):
            even = np.full(observed.size, 1 / observed.size)
            found[name] = folded(chi_square(observed, even))
        return found
