"""The battery's group that looks at which elements ``sparse_`` sets to zero."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from scipy import special, stats

from tests.battery.policy import QUICK, Outcome, folded
from tests.statistics.checks import chi_square
from tests.statistics.masks import Zeros, pairs_p_value, subsets_p_value
from tritoninit import init
from tritoninit.stream import Key, parameter_key

COLUMNS = 1 << 22
SUBSETS = ((8, 2), (8, 3), (8, 4))  # rows, zeros
PAIRS = ((64, 16), (256, 128), (1024, 102))
PAIR_COLUMNS = 1 << 17
VALUES = 1 << 25  # elements looked at for dependence of values and zeros
BINS = 64  # equally likely, of the values
SEED = 0


def key_of(rows: int, zeros: int) -> Key:
    return parameter_key(SEED, f"sparse.{rows}.{zeros}.weight")


def zeros_of(rows: int, columns: int, zeros: int) -> Zeros:
    """The mask, seen on float64 values, of which none is zero by chance."""
    out = torch.empty(rows, columns, dtype=torch.float64)
    init.sparse_(out, zeros / rows, std=1.0, generator=key_of(rows, zeros))
    mask = (out == 0).numpy()
    assert (mask.sum(axis=0) == zeros).all()
    return mask


def neighbours_p_value(mask: Zeros) -> float:
    """Zeros that a column shares with the next one: hypergeometric."""
    rows, zeros = len(mask), int(mask[:, 0].sum())
    shared = (mask[:, :-1:2] & mask[:, 1::2]).sum(axis=0)
    law = stats.hypergeom(rows, zeros, zeros)
    number = np.bincount(shared, minlength=zeros + 1)
    return folded(chi_square(number, law.pmf(np.arange(zeros + 1))))


def values_p_values(mask: Zeros, normals: np.ndarray) -> dict[str, float]:
    """Values that the mask hides and keeps, by their place among BINS, and their correlation."""
    cell = np.minimum((special.ndtr(normals) * BINS).astype(np.int64), BINS - 1)
    share = float(mask.mean())
    found = {}
    for name, chosen in (("hidden", mask), ("kept", ~mask)):
        observed = np.bincount(cell[chosen], minlength=BINS)
        found[f"{name} values"] = folded(chi_square(observed, np.full(BINS, 1 / BINS)))
    # Given the mask, which has exactly so many zeros, the sum over hidden values is normal.
    for name, y in (("sum", normals), ("squares", (normals**2 - 1) / math.sqrt(2))):
        difference = y[mask].mean() - y[~mask].mean()
        spread = math.sqrt(1 / (mask.size * share) + 1 / (mask.size * (1 - share)))
        found[f"{name} of hidden less kept"] = float(2 * stats.norm.sf(abs(difference) / spread))
    return found


def masks(quick: bool) -> Iterator[Outcome]:
    """Every subset, every pair, neighbouring columns; values and zeros together."""
    reduce = QUICK * 4 if quick else 1
    for rows, zeros in SUBSETS:
        columns = COLUMNS // reduce
        mask = zeros_of(rows, columns, zeros)
        subject = f"sparse, {zeros} zeros in {rows} rows"
        yield Outcome(subject, "all subsets", columns, subsets_p_value(mask))
        yield Outcome(subject, "neighbouring columns", columns, neighbours_p_value(mask))
    for rows, zeros in PAIRS:
        columns = PAIR_COLUMNS // reduce * 256 // rows
        mask = zeros_of(rows, columns, zeros)
        subject = f"sparse, {zeros} zeros in {rows} rows"
        yield Outcome(subject, "all pairs of rows", columns, pairs_p_value(mask))
        yield Outcome(subject, "neighbouring columns", columns, neighbours_p_value(mask))
        drawn = torch.empty(rows, VALUES // reduce // rows)
        init.normal_(drawn, generator=key_of(rows, zeros))
        mask = zeros_of(rows, VALUES // reduce // rows, zeros)
        for test, p in values_p_values(mask, drawn.numpy()).items():
            yield Outcome(subject, test, mask.size, p)
