"""Which truncated-normal sampler fits a pair of bounds, and its constants.

In units of the standard deviation from the mean, the bounds are alpha < beta.

- ``clamped_normal``: neither bound can be reached by Box-Muller (7 sigma, one word has 32
  bits): the truncated normal is the normal.
- ``rational``, ``log``: the mean lies inside, both bounds within 2 or 3.08: inverse error
  function of x = erf(alpha / sqrt 2) + (a fraction of the difference).
- ``tails``: the mean lies inside and a bound is further out: words are counted outward from
  the mean and inward from the bounds, so values near either keep their relative precision.
- ``tail``: both bounds on one side of the mean: the distance d from the nearer bound solves
  ln Q(alpha) - ln Q(alpha + d) = l with l = -ln(survival in the interval).

The tail form.  With kappa = phi(alpha) / Q(alpha) the quadratic d**2 / 2 + kappa d = l has
the right slope at d = 0 and the right growth far out; its root is (2 / kappa) l / (1 + r),
r = sqrt(1 + 2 l / kappa**2).  The remaining factor is smooth in (r - 1) / (r + 1) and is
interpolated by a polynomial there: with degree 9 the relative error is at most 2**-25, and
with degree 31 at most 2**-54, for every alpha >= 0.
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import NamedTuple

from tritoninit.special import CONTEXT, half_mass, mills, survival, tail_increment

UNREACHABLE = 7  # Box-Muller's largest radius is sqrt(-2 ln 2**-33) = 6.764
RATIONAL_END = 2  # sigma, where central_rational's fit ends
LOG_END = Decimal("3.08")  # sigma, where central_log's fit ends
WORDS = 2**32  # of float32's stream
NARROW = Decimal("1e-15")  # widths whose square is below the precision of float64
SMALLEST_SPAN = Decimal("0.125")  # of (r - 1) / (r + 1): narrower fits lose float32 precision


class TailFit(NamedTuple):
    """Constants of the tail form: d = (2 / kappa) l / (1 + r) * P(scale / (1 + r) + centre)."""

    curvature: Decimal
    scale: Decimal
    centre: Decimal
    coefficients: tuple[Decimal, ...]
    unit: Decimal


class Bounds(NamedTuple):
    """Exact (a - mean) / std and (b - mean) / std, and their difference."""

    alpha: Decimal
    beta: Decimal
    width: Decimal


def standardise(mean: float, std: float, a: float, b: float) -> Bounds:
    """The bounds in units of std from the mean."""
    with localcontext(CONTEXT):
        m, s, low, high = Decimal(mean), Decimal(std), Decimal(a), Decimal(b)
        return Bounds((low - m) / s, (high - m) / s, (high - low) / s)


def variant(bounds: Bounds) -> str:
    """The sampler for these bounds: see the module's docstring."""
    alpha, beta, _ = bounds
    if alpha >= 0 or beta <= 0:
        return "tail"
    if min(-alpha, beta) >= UNREACHABLE:
        return "clamped_normal"
    reach = max(-alpha, beta)
    if reach <= RATIONAL_END:
        return "rational"
    return "log" if reach <= LOG_END else "tails"


@lru_cache(maxsize=1024)
def fit_tail(alpha: Decimal, reach: Decimal, degree: int) -> TailFit:
    """Interpolate the tail form at Chebyshev-like nodes for l in (0, reach]."""
    with localcontext(CONTEXT):
        kappa = 1 / mills(alpha)
        curvature = 2 / (kappa * kappa)
        r = (1 + curvature * reach).sqrt()
        span = max((r - 1) / (r + 1), SMALLEST_SPAN)
        count = degree + 1
        # Any distinct nodes will do; rounding them makes them the same on every platform.
        nodes = [
            Decimal(round(math.cos(math.pi * (j + 0.5) / count), 6)).quantize(Decimal("1e-6"))
            for j in range(count)
        ]
        values = []
        for node in nodes:
            s = span * (node + 1) / 2
            r = (1 + s) / (1 - s)
            level = (r * r - 1) / curvature
            values.append(tail_increment(alpha, level) * kappa * (1 + r) / (2 * level))
        scale, centre = -4 / span, 2 / span - 1
        return TailFit(curvature, scale, centre, interpolate(nodes, values), 2 / kappa)


def interpolate(nodes: list[Decimal], values: list[Decimal]) -> tuple[Decimal, ...]:
    """Monomial coefficients of the interpolating polynomial (Newton's divided differences)."""
    differences = list(values)
    for order in range(1, len(nodes)):
        for j in range(len(nodes) - 1, order - 1, -1):
            gap = nodes[j] - nodes[j - order]
            differences[j] = (differences[j] - differences[j - 1]) / gap
    coefficients = [differences[-1]]
    for j in range(len(nodes) - 2, -1, -1):
        shifted = [Decimal(0), *coefficients]
        for i, c in enumerate(coefficients):
            shifted[i] -= nodes[j] * c
        shifted[0] += differences[j]
        coefficients = shifted
    return tuple(coefficients)


class Central(NamedTuple):
    """x = centre + half * (a number in [-1, 1]); z = sqrt(2) erfinv(x)."""

    half: Decimal
    centre: Decimal


def central(bounds: Bounds) -> Central:
    """The interval of erf(z / sqrt 2) = 1 - 2 Q(z) between the bounds."""
    with localcontext(CONTEXT):
        low = 1 - 2 * survival(bounds.alpha)
        high = 1 - 2 * survival(bounds.beta)
        return Central((high - low) / 2, (high + low) / 2)


class OneTail(NamedTuple):
    """survival t = floor + mass u in (0, 1], measured from the bound nearer the mean."""

    mass: Decimal
    floor: Decimal
    fit: TailFit


def one_tail(bounds: Bounds, word_bits: int, degree: int) -> OneTail:
    """For 0 <= alpha < beta (mirror the bounds where beta <= 0)."""
    alpha, beta, width = bounds
    with localcontext(CONTEXT):
        deepest = Decimal(word_bits + 1) * Decimal(2).ln()
        if beta.is_infinite():
            return OneTail(Decimal(1), Decimal(0), fit_tail(alpha, deepest, degree))
        kappa = 1 / mills(alpha)
        if width * max(kappa, Decimal(1)) < NARROW:  # two terms of the Taylor series
            level = kappa * width * (1 + (kappa - alpha) * width / 2)
            mass = level * (1 - level / 2)
        else:  # not a difference of logarithms: alpha w + w**2 / 2 keeps narrow intervals exact
            ratio = mills(alpha) / mills(alpha + width)
            level = alpha * width + width * width / 2 + ratio.ln()
            mass = 1 - (-level).exp()
        return OneTail(mass, 1 - mass, fit_tail(alpha, min(level, deepest), degree))


class TwoTails(NamedTuple):
    """Twice the tail probabilities: below = below0 + mass u, above = above0 + mass (1 - u).

    And erf(z / sqrt 2) = start + mass u, which keeps its digits between narrow bounds.
    """

    mass: Decimal
    below: Decimal
    above: Decimal
    fit: TailFit
    start: Decimal


def two_tails(bounds: Bounds, word_bits: int, degree: int) -> TwoTails:
    """For alpha < 0 < beta."""
    with localcontext(CONTEXT):
        below = 2 * survival(-bounds.alpha)
        above = 2 * survival(bounds.beta)
        reach = Decimal(word_bits + 2) * Decimal(2).ln()
        fit = fit_tail(Decimal(0), reach, degree)
        start, end = -2 * half_mass(-bounds.alpha), 2 * half_mass(bounds.beta)
        return TwoTails(end - start, below, above, fit, start)


class Sides(NamedTuple):
    """How the words of float32 share the two sides of the mean.

    ``below`` words lie below it.  On either side the word j from the mean has the middle of
    step j to step (j + 1) as abs(erf(z / sqrt 2)) = 1 - t, and t = step (last - j) + end for the
    last word of the longer side.
    """

    step: Decimal
    end: Decimal
    below: int


def share_words(part: TwoTails) -> Sides:
    """The sides meet between two words, so that none is shared; half a word is moved at most."""
    with localcontext(CONTEXT):
        step = part.mass / WORDS
        below = min(int((-part.start / step).to_integral_value()), WORDS - 1)
        last = max(below, WORDS - below) - 1
        end = 1 - (last + Decimal("0.5")) * step
        return Sides(step, max(end, step / 2), below)


def mirror(bounds: Bounds) -> Bounds:
    """The bounds reflected at the mean where they lie below it."""
    if bounds.beta <= 0:
        return Bounds(-bounds.beta, -bounds.alpha, bounds.width)
    return bounds
