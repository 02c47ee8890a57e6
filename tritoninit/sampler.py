"""From a recipe to a sampling function and its constants.

This is where float64 arguments become the constants of a dtype, once, on the host, the same
on every platform.  A ``Sampler`` is all a backend needs to know of a distribution.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tritoninit.arith import fma
from tritoninit.recipe import (
    Constant,
    Dirac,
    Eye,
    Normal,
    Recipe,
    Sparse,
    TruncNormal,
    Uniform,
)

if TYPE_CHECKING:
    from decimal import Decimal

    from tritoninit import truncated


class DType(str, Enum):
    """The floating-point formats the samplers write, under torch's names."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    FLOAT64 = "float64"

    __hash__ = str.__hash__  # Enum's is a Python function, and lookups by dtype are frequent

    @property
    def is_double(self) -> bool:
        """Whether the dtype has its own 53-bit stream."""
        return self is DType.FLOAT64

    @property
    def itemsize(self) -> int:
        """Bytes an element."""
        return {"float32": 4, "float64": 8}.get(self.value, 2)


class Sampler(NamedTuple):
    """``kind`` names a function of ``sampling.py``; ``params`` are its constants.

    ``params`` are float32, for float64 float64.  For ``diagonal``, the integers (period,
    channels, groups' rows, centre) instead: element e is 1 where e % period == centre and
    e // period % channels == e // (period * channels) % rows.
    """

    kind: str
    params: tuple[np.float32, ...] | tuple[np.float64, ...] = ()
    integers: tuple[int, ...] = ()


def single(value: float | Decimal) -> np.float32:
    """The nearest float32; overflow gives an infinity, as a cast does."""
    with np.errstate(over="ignore"):
        return np.float32(float(value))


def rounded(value: float, dtype: DType) -> float:
    """``value`` rounded once to the nearest number of ``dtype``."""
    if dtype is DType.FLOAT64:
        return value
    with np.errstate(over="ignore"):
        if dtype is DType.FLOAT16:
            return float(np.float16(value))
        if dtype is DType.FLOAT32:
            return float(np.float32(value))
    if value == 0 or math.isnan(value):
        return value
    if abs(value) >= 2.0**128:
        return math.copysign(math.inf, value)
    # bfloat16: 8 significant bits, float32's exponents, subnormals down to 2**-133.
    _, exponent = math.frexp(value)
    step = max(exponent - 8, -133)
    result = math.ldexp(round(math.ldexp(value, -step)), step)
    return result if abs(result) < 2.0**128 else math.copysign(math.inf, value)


def _next(value: float, toward: float, dtype: DType) -> float:
    if dtype is DType.FLOAT64:
        return math.nextafter(value, toward)
    if dtype is DType.FLOAT16:
        return float(np.nextafter(np.float16(value), np.float16(toward)))
    neighbour = np.nextafter(np.float32(value), np.float32(toward))
    if dtype is DType.FLOAT32:
        return float(neighbour)
    bits = int(np.float32(value).view(np.int32)) & 0xFFFFFFFF
    if value == 0:
        return math.copysign(2.0**-133, toward)
    bits += 0x10000 if (toward > value) == (value > 0) else -0x10000
    return float(np.uint32(bits & 0xFFFFFFFF).view(np.float32))


def representable_bounds(a: float, b: float, dtype: DType) -> tuple[float, float]:
    """The least value of ``dtype`` that is >= a and the greatest that is <= b.

    Where no value of the dtype lies in [a, b], both are the value nearest to the middle.
    """
    low, high = rounded(a, dtype), rounded(b, dtype)
    if low < a:
        low = _next(low, math.inf, dtype)
    if high > b:
        high = _next(high, -math.inf, dtype)
    if low > high:
        low = high = rounded(a / 2 + b / 2, dtype)
    return low, high


def uniform_constants(a: float, b: float) -> tuple[np.float32, np.float32]:
    """(scale, low) with low + scale k < float32(b) for every 0 <= k < 2**24.

    scale is the nearest float32 to (b - a) / 2**24, or the largest smaller one for which the
    largest k still rounds below b.
    """
    low, limit = single(a), single(b)
    top = np.float32(2.0**24 - 1)
    if not low < limit:
        return np.float32(0), low
    scale = single((b - a) * 2.0**-24)

    def below(bits: int) -> bool:
        return bool(fma(top, np.uint32(bits).view(np.float32), low) < limit)

    return np.uint32(_largest(below, int(scale.view(np.uint32)))).view(np.float32), low


def _largest(holds: Callable[[int], bool], start: int) -> int:
    """The largest n <= start for which a monotone predicate holds; it holds for 0."""
    if holds(start):
        return start
    low, high = 0, start
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _uniform(recipe: Uniform, dtype: DType) -> Sampler:
    if dtype.is_double:
        return _sampler("uniform", _double_uniform(recipe.a, recipe.b), dtype)
    scale, low = uniform_constants(recipe.a, recipe.b)
    return Sampler("uniform", (scale, low))


def _double_uniform(a: float, b: float) -> tuple[float, float]:
    """The same for the 53-bit stream, whose product and sum round separately."""
    if not a < b:
        return 0.0, a
    scale = np.float64((b - a) * 2.0**-53)

    def below(bits: int) -> bool:
        return (2.0**53 - 1) * float(np.uint64(bits).view(np.float64)) + a < b

    return float(np.uint64(_largest(below, int(scale.view(np.uint64)))).view(np.float64)), a


def _truncated(recipe: TruncNormal, dtype: DType) -> Sampler:
    from decimal import Decimal

    from tritoninit import truncated  # with decimal a twentieth of `import tritoninit`

    low, high = representable_bounds(recipe.a, recipe.b, dtype)
    if low == high:
        return _sampler("constant", (low,), dtype)
    bounds = truncated.standardise(recipe.mean, recipe.std, recipe.a, recipe.b)
    kind = truncated.variant(bounds)
    if dtype.is_double and kind in ("rational", "log"):
        kind = "tails"  # the float64 stream has one form for all bounds around the mean
    place: tuple[float, ...] = (recipe.std, recipe.mean)
    if kind in ("rational", "log"):
        half, centre = truncated.central(bounds)
        scale = single(half * (1 - Decimal(2) ** -24) / 2**31)  # keeps |x| inside the bounds
        place = (float(scale), float(centre + Decimal(float(scale)) / 2), *place)
    elif kind in ("tail", "tails"):
        place = _tail_constants(recipe, bounds, kind, dtype)
    return _sampler(kind, (*place, low, high), dtype)


def _tail_constants(
    recipe: TruncNormal, bounds: truncated.Bounds, kind: str, dtype: DType
) -> tuple[float, ...]:
    from decimal import Decimal

    from tritoninit import truncated

    word_bits, degree = (64, 31) if dtype.is_double else (32, 9)
    shares: tuple[Decimal, ...]
    if kind == "tail":
        part = truncated.one_tail(truncated.mirror(bounds), word_bits, degree)
        fit, shares = part.fit, (part.mass, part.floor)
        below = bounds.beta <= 0
        direction, origin = (-1, recipe.b) if below else (1, recipe.a)
    else:
        both = truncated.two_tails(bounds, word_bits, degree)
        fit, shares = both.fit, (both.mass, both.below, both.above, both.start)
        if not dtype.is_double:
            sides = truncated.share_words(both)
            high, low = divmod(sides.below, 2**16)  # each of them is a float32
            shares = (sides.step, sides.end, Decimal(high), Decimal(low))
        direction, origin = 1, recipe.mean
    scale = direction * float(fit.unit * Decimal(recipe.std))
    head = (fit.curvature, fit.scale, fit.centre, *fit.coefficients, *shares)
    return (*(float(value) for value in head), scale, origin)


def _sampler(kind: str, values: tuple[float, ...], dtype: DType) -> Sampler:
    """The constants in the precision of the arithmetic; adding 0.0 makes -0.0 the same as 0.0."""
    if dtype.is_double:
        return Sampler(kind, tuple(np.float64(value + 0.0) for value in values))
    return Sampler(kind, tuple(single(value + 0.0) for value in values))


@lru_cache(maxsize=4096)
def lower(recipe: Recipe, shape: tuple[int, ...], dtype: DType) -> Sampler:
    """The sampling function and constants of ``recipe`` for a global tensor of this shape.

    ``sparse`` lowers to its values; its mask is a separate pass (``sparse.py``).
    """
    if isinstance(recipe, Uniform):
        return _uniform(recipe, dtype)
    if isinstance(recipe, Normal):
        return _sampler("normal", (recipe.std, recipe.mean), dtype)
    if isinstance(recipe, TruncNormal):
        return _truncated(recipe, dtype)
    if isinstance(recipe, Sparse):
        if recipe.zeros(shape[0]) == shape[0]:
            return _sampler("constant", (0.0,), dtype)
        return _sampler("normal", (recipe.std, 0.0), dtype)
    if isinstance(recipe, Constant):
        return _sampler("constant", (rounded(float(recipe.value.real), dtype),), dtype)
    if isinstance(recipe, Eye):
        return Sampler("diagonal", integers=(1, shape[1], shape[0], 0))
    if isinstance(recipe, Dirac):
        period = math.prod(shape[2:])
        centre = 0
        for size in shape[2:]:
            centre = centre * size + size // 2
        return Sampler("diagonal", integers=(period, shape[1], shape[0] // recipe.groups, centre))
    raise TypeError(f"no sampler for {recipe}")
