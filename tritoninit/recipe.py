"""What a tensor should hold: the distributions of torch.nn.init as values.

A recipe knows nothing of tensors, devices or random numbers; it can be printed, compared and
stored.  ``sampler.py`` turns it into a sampling function with constants for a dtype.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields


def _shown(value: float) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class Recipe:
    """The base of all recipes."""

    def __str__(self) -> str:
        arguments = ", ".join(f"{f.name}={_shown(getattr(self, f.name))}" for f in fields(self))
        return f"{type(self).__name__.lower()}({arguments})"

    @property
    def is_random(self) -> bool:
        """Whether the values depend on a key."""
        return True

    def expected_std(self, shape: tuple[int, ...]) -> float:
        """The standard deviation of one element drawn from the whole tensor."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Uniform(Recipe):
    """U(a, b): a + (b - a) k / 2**24 in [a, b), k an integer."""

    a: float
    b: float

    __str__ = Recipe.__str__

    def expected_std(self, shape: tuple[int, ...]) -> float:
        return (self.b - self.a) / math.sqrt(12)


@dataclass(frozen=True, slots=True)
class Normal(Recipe):
    """N(mean, std**2)."""

    mean: float
    std: float

    __str__ = Recipe.__str__

    def expected_std(self, shape: tuple[int, ...]) -> float:
        return self.std


@dataclass(frozen=True, slots=True)
class TruncNormal(Recipe):
    """N(mean, std**2) conditioned on [a, b].

    Raises:
        ValueError: std is not positive and finite, mean is not finite, a bound is NaN, or a > b.
    """

    mean: float
    std: float
    a: float
    b: float

    __str__ = Recipe.__str__

    def __post_init__(self) -> None:
        if not (math.isfinite(self.std) and self.std > 0):
            raise ValueError(f"trunc_normal_ expects a finite std > 0, got std={self.std}")
        if not math.isfinite(self.mean):
            raise ValueError(f"trunc_normal_ expects a finite mean, got mean={self.mean}")
        if math.isnan(self.a) or math.isnan(self.b) or self.a > self.b:
            raise ValueError(f"trunc_normal_ expects a <= b, got a={self.a}, b={self.b}")
        if self.a == self.b and math.isinf(self.a):
            raise ValueError(f"trunc_normal_ expects a finite value in [a, b], got a=b={self.a}")

    def expected_std(self, shape: tuple[int, ...]) -> float:
        from decimal import Decimal

        from tritoninit.special import truncated_std

        standard = (Decimal(bound) for bound in (self.a, self.b))
        low, high = ((bound - Decimal(self.mean)) / Decimal(self.std) for bound in standard)
        return self.std * truncated_std(low, high)


@dataclass(frozen=True, slots=True)
class Constant(Recipe):
    """The same value everywhere."""

    value: complex

    __str__ = Recipe.__str__

    @property
    def is_random(self) -> bool:
        return False

    def expected_std(self, shape: tuple[int, ...]) -> float:
        return 0.0


@dataclass(frozen=True, slots=True)
class Eye(Recipe):
    """The identity matrix: 1 where row == column, else 0."""

    __str__ = Recipe.__str__

    @property
    def is_random(self) -> bool:
        return False

    def expected_std(self, shape: tuple[int, ...]) -> float:
        return _two_point_std(min(shape) / math.prod(shape)) if math.prod(shape) else 0.0


@dataclass(frozen=True, slots=True)
class Dirac(Recipe):
    """The Dirac delta of a convolution weight: channel in == channel out within its group."""

    groups: int = 1

    __str__ = Recipe.__str__

    @property
    def is_random(self) -> bool:
        return False

    def expected_std(self, shape: tuple[int, ...]) -> float:
        if not math.prod(shape):
            return 0.0
        ones = self.groups * min(shape[0] // self.groups, shape[1])
        return _two_point_std(ones / math.prod(shape))


@dataclass(frozen=True, slots=True)
class Sparse(Recipe):
    """N(0, std**2) with exactly ceil(sparsity * rows) zeros in every column.

    Raises:
        ValueError: sparsity outside [0, 1].
    """

    sparsity: float
    std: float

    __str__ = Recipe.__str__

    def __post_init__(self) -> None:
        if not 0 <= self.sparsity <= 1:
            raise ValueError(f"sparse_ expects sparsity in [0, 1], got {self.sparsity}")

    def zeros(self, rows: int) -> int:
        """How many zeros a column of this many rows holds."""
        return math.ceil(self.sparsity * rows)

    def expected_std(self, shape: tuple[int, ...]) -> float:
        kept = 1 - self.zeros(shape[0]) / shape[0] if shape[0] else 0.0
        return self.std * math.sqrt(kept)


@dataclass(frozen=True, slots=True)
class Orthogonal(Recipe):
    """gain times a Haar-distributed matrix with orthonormal rows or columns."""

    gain: float

    __str__ = Recipe.__str__

    def expected_std(self, shape: tuple[int, ...]) -> float:
        rows = shape[0]
        columns = math.prod(shape[1:])
        return abs(self.gain) / math.sqrt(max(rows, columns)) if rows and columns else 0.0


def _two_point_std(share: float) -> float:
    return math.sqrt(share * (1 - share))
