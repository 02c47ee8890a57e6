"""The battery's group that looks at ``orthogonal_``: Haar's law."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats

from tests.battery.policy import QUICK, Outcome, largest_p, normal_p
from tests.statistics.checks import two_sided
from tritoninit import init
from tritoninit.stream import parameter_key

MATRICES = {2: 1 << 18, 3: 1 << 18, 8: 1 << 17, 64: 1 << 14}  # of each size
POWERS = 4
ARCS = 8
SEED = 0

Matrices = npt.NDArray[np.float64]


def drawn(size: int, count: int) -> Matrices:
    """One matrix of each draw of a parameter."""
    out = torch.empty(count, size, size)
    key = parameter_key(SEED, f"orthogonal.{size}.weight")
    for draw, matrix in enumerate(out):
        init.orthogonal_(matrix, generator=key.fold_in(draw))
    return out.double().numpy()


def entries(sample: Matrices) -> dict[str, float]:
    """A squared entry is Beta(1/2, (n - 1) / 2); any two entries are uncorrelated."""
    count, size, _ = sample.shape
    law = stats.beta(0.5, (size - 1) / 2)
    places = {(0, 0), (size - 1, 0), (0, size - 1), (size - 1, size - 1), (size // 2, size // 3)}
    squares = (np.clip(sample[:, row, column] ** 2, 0, 1) for row, column in places)
    smallest = min(float(stats.kstest(square, law.cdf).pvalue) for square in squares)
    found = {"law of some entries": min(1.0, len(places) * smallest)}
    positive = (sample > 0).sum(axis=0).reshape(-1)
    found["signs of all entries"] = largest_p((2 * positive - count) / math.sqrt(count))
    found["sum of all entries"] = normal_p(sample.sum() / math.sqrt(count * size))
    return found


def determinants(sample: Matrices) -> dict[str, float]:
    """Half of them are 1, half -1."""
    positive = int((np.linalg.det(sample) > 0).sum())
    return {"determinant": two_sided(positive, len(sample), 0.5)}


def angles(sample: Matrices) -> dict[str, float]:
    """n = 2: rotations and reflections by a uniform angle; n = 3: density (1 - cos t) / pi."""
    size = sample.shape[1]
    if size == 2:
        proper = np.linalg.det(sample) > 0
        angle = np.arctan2(sample[:, 1, 0], sample[:, 0, 0]) / (2 * math.pi) + 0.5
        halves = {"rotations": angle[proper], "reflections": angle[~proper]}
        return {
            # None at all of one kind has a probability of 2**-n.
            f"angle of {name}": float(stats.kstest(a, "uniform").pvalue) if a.size else 0.0
            for name, a in halves.items()
        }
    rotations = sample * np.sign(np.linalg.det(sample))[:, None, None]
    trace = np.trace(rotations, axis1=1, axis2=2)
    angle = np.arccos(np.clip((trace - 1) / 2, -1, 1))
    return {
        "angle of rotations": float(stats.kstest(angle, lambda t: (t - np.sin(t)) / math.pi).pvalue)
    }


def traces(sample: Matrices) -> dict[str, float]:
    """Tr Q^k against its exact mean (k even: 1, odd: 0) and variance k, and at n = 64 its law.

    The eigenvalues' phases repel: independent ones would give a variance of about n.  Means and
    variances are exact for 2k <= n, the normal law to far below what the sample resolves
    (P. Diaconis, M. Shahshahani, J. Appl. Prob. 31A, 1994; K. Johansson, Ann. Math. 145, 1997).
    """
    count, size, _ = sample.shape
    found = {}
    power = np.eye(size)
    for k in range(1, min(POWERS, size // 2) + 1):
        power = sample @ power
        trace = np.trace(power, axis1=1, axis2=2) - (1 - k % 2)
        spread = trace.std()
        found[f"mean of Tr Q^{k}"] = normal_p(trace.mean() / spread * math.sqrt(count))
        squares = trace**2
        error = squares.std() / math.sqrt(count)
        found[f"variance of Tr Q^{k}"] = normal_p(float(squares.mean() - k) / error)
        if size >= 64:
            law = stats.norm(scale=math.sqrt(k))
            found[f"law of Tr Q^{k}"] = float(stats.kstest(trace, law.cdf).pvalue)
    return found


def phases(sample: Matrices) -> dict[str, float]:
    """Eigenvalues' phases, without the real ones, in ARCS of the upper half circle.

    Over both determinants together their density is (n - 1) / 2 pi, exactly: the terms
    +-sin((n - 1) t) / sin t of each cancel (N. Katz, P. Sarnak, "Random matrices, Frobenius
    eigenvalues, and monodromy", 1999).
    """
    count, size, _ = sample.shape
    values = np.linalg.eigvals(sample)
    phase = np.where(values.imag > 0, np.angle(values), np.inf)
    edges = np.linspace(0, math.pi, ARCS + 1)
    smallest = 1.0
    for low, high in itertools.pairwise(edges):
        inside = ((phase >= low) & (phase < high)).sum(axis=1)
        mean = (size - 1) / (2 * ARCS)
        spread = max(float(inside.std()), 1 / count)
        z = (inside.mean() - mean) / spread * math.sqrt(count)
        smallest = min(smallest, normal_p(float(z)))
    return {f"phases in {ARCS} arcs": min(1.0, ARCS * smallest)}


def p_values(sample: Matrices) -> dict[str, float]:
    """Every test of matrices of one size."""
    size = sample.shape[1]
    found = entries(sample) | determinants(sample)
    if size <= 3:
        found |= angles(sample)
    else:
        found |= traces(sample)
    return found | phases(sample) if size > 2 else found


def haar(quick: bool) -> Iterator[Outcome]:
    """Entries, signs, determinants, angles and traces at each size."""
    for size, full in MATRICES.items():
        count = full // QUICK if quick else full
        for test, p in p_values(drawn(size, count)).items():
            yield Outcome(f"orthogonal, {size} x {size}", test, count, p)
