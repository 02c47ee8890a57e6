"""Which truncated-normal sampler is chosen, and the constants of the tail form."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import mpmath as mp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tritoninit import truncated
from tritoninit.special import CONTEXT, survival, tail_increment
from tritoninit.truncated import Bounds, interpolate, mirror, standardise, variant

SMALL = Decimal("1e-9")
WORD = Decimal(33) * Decimal(2).ln()
LONG_WORD = Decimal(66) * Decimal(2).ln()


def bounds(low: Decimal | str | float, high: Decimal | str | float) -> Bounds:
    a, b = Decimal(low), Decimal(high)
    return Bounds(a, b, b - a)


@pytest.mark.parametrize(
    ("low", "high", "kind"),
    [
        ("-2", "2", "rational"),
        ("-0.001", "0.001", "rational"),
        (-2 - SMALL, "2", "log"),
        ("-2", 2 + SMALL, "log"),
        ("-3.08", "3.08", "log"),
        (-Decimal("3.08") - SMALL, "3.08", "tails"),
        ("-4", "1", "tails"),
        ("-1", "inf", "tails"),
        (-7 + SMALL, "7", "tails"),
        ("-7", 7 - SMALL, "tails"),
        ("-7", "7", "clamped_normal"),
        ("-100", "100", "clamped_normal"),
        ("-inf", "inf", "clamped_normal"),
        ("0", "2", "tail"),
        ("0", "inf", "tail"),
        ("-2", "0", "tail"),
        ("-inf", "-3", "tail"),
        (SMALL, "1", "tail"),
        (-SMALL, "1", "rational"),
    ],
)
def test_variant(low: Decimal | str, high: Decimal | str, kind: str) -> None:
    assert variant(bounds(low, high)) == kind
    assert variant(bounds(-Decimal(high), -Decimal(low))) == kind


fixed = settings(derandomize=True, deadline=None)
finite = st.floats(-1e6, 1e6)


@fixed
@given(finite, st.floats(1e-6, 1e6), finite, st.floats(0, 1e6))
def test_standardise_is_exact_to_the_context(mean: float, std: float, a: float, w: float) -> None:
    """alpha * std recovers a - mean although float64 would have cancelled."""
    got = standardise(mean, std, a, a + w)
    with localcontext(CONTEXT):
        slack = Decimal("1e-40") * (abs(Decimal(a)) + abs(Decimal(mean)) + 1)
        assert abs(got.alpha * Decimal(std) - (Decimal(a) - Decimal(mean))) <= slack
        assert abs(got.width * Decimal(std) - (Decimal(a + w) - Decimal(a))) <= slack


def test_mirror_reflects_only_intervals_below_the_mean() -> None:
    assert mirror(bounds("-5", "-3")) == bounds("3", "5")
    assert mirror(bounds("3", "5")) == bounds("3", "5")
    assert mirror(bounds("-2", "2")) == bounds("-2", "2")


def test_interpolation_reproduces_a_polynomial() -> None:
    coefficients = [Decimal(3), Decimal(-2), Decimal("0.5"), Decimal(7)]
    nodes = [Decimal(n) for n in ("-1", "-0.3", "0.4", "1")]
    values = [sum(c * x**k for k, c in enumerate(coefficients)) for x in nodes]
    with localcontext(CONTEXT):
        found = interpolate(nodes, [Decimal(value) for value in values])
    assert [float(c) for c in found] == pytest.approx([3, -2, 0.5, 7], rel=1e-25)


def fit_error(alpha: Decimal, reach: Decimal, degree: int) -> float:
    """The largest relative error of the tail form in exact arithmetic."""
    fit = truncated.fit_tail(alpha, reach, degree)
    worst = Decimal(0)
    with localcontext(CONTEXT):
        for k in range(1, 60):
            level = reach * k * k / 3600  # denser towards the bound
            r = (1 + fit.curvature * level).sqrt()
            s = fit.scale / (1 + r) + fit.centre
            y = Decimal(0)
            for coefficient in reversed(fit.coefficients):
                y = y * s + coefficient
            d = fit.unit * level / (1 + r) * y
            worst = max(worst, abs(d / tail_increment(alpha, level) - 1))
    return float(worst)


@pytest.mark.parametrize("alpha", ["0", "0.2", "1", "3", "8", "37", "1e4"])
@pytest.mark.parametrize("reach", [Decimal("1e-6"), Decimal(1), WORD])
def test_tail_fit_of_float32(alpha: str, reach: Decimal) -> None:
    assert fit_error(Decimal(alpha), reach, 9) < 2.0**-25


@pytest.mark.parametrize("alpha", ["0", "0.2", "1", "3", "37"])
@pytest.mark.parametrize("reach", [Decimal("1e-6"), Decimal(1), LONG_WORD])
def test_tail_fit_of_float64(alpha: str, reach: Decimal) -> None:
    """Widest at the mean, where the form has the most to bridge: 2**-54.1 measured."""
    assert fit_error(Decimal(alpha), reach, 31) < 2.0**-53


def test_central_interval() -> None:
    """x = erf(z / sqrt 2) between the bounds."""
    for low, high in ((-2.0, 2.0), (-0.5, 1.75), (-1e-9, 2e-9)):
        half, centre = truncated.central(bounds(low, high))
        assert float(centre - half) == pytest.approx(math.erf(low / math.sqrt(2)), rel=1e-14)
        assert float(centre + half) == pytest.approx(math.erf(high / math.sqrt(2)), rel=1e-14)


@pytest.mark.parametrize(("low", "high"), [("0", "1"), ("3", "5"), ("37", "37.0001"), ("2", "inf")])
def test_one_tail_shares(low: str, high: str) -> None:
    """floor = Q(beta) / Q(alpha), without underflow and without cancellation."""
    part = truncated.one_tail(bounds(low, high), 32, 9)
    with localcontext(CONTEXT):
        ratio = survival(Decimal(high)) / survival(Decimal(low))
        assert abs(part.floor - ratio) <= Decimal("1e-30") * max(ratio, Decimal("1e-12"))
        assert part.mass + part.floor == 1


@pytest.mark.parametrize("alpha", ["0", "1", "37", "1e6"])
@pytest.mark.parametrize("width", ["1e-12", "1e-15", "1e-16", "1e-30", "1e-300"])
def test_one_tail_of_a_narrow_interval(alpha: str, width: str) -> None:
    """1 - Q(alpha + w) / Q(alpha), by mpmath to 40 digits more than the width takes."""
    low, step = Decimal(alpha), Decimal(width)
    part = truncated.one_tail(truncated.Bounds(low, low + step, step), 32, 9)
    with mp.workdps(340):
        start, end = mp.mpf(alpha), mp.mpf(alpha) + mp.mpf(width)
        exact = 1 - mp.erfc(end / mp.sqrt(2)) / mp.erfc(start / mp.sqrt(2))
        assert abs(mp.mpf(str(part.mass)) / exact - 1) < 2.0**-60


@pytest.mark.parametrize(("low", "high"), [("-4", "1"), ("-6", "6"), ("-inf", "0.5")])
def test_two_tails_shares(low: str, high: str) -> None:
    part = truncated.two_tails(bounds(low, high), 32, 9)
    with localcontext(CONTEXT):
        assert abs(part.mass + part.below + part.above - 2) < Decimal("1e-40")
        assert abs(part.start - (part.below - 1)) < Decimal("1e-40")
    assert float(part.below) == pytest.approx(math.erfc(-float(low) / math.sqrt(2)), rel=1e-13)
    assert float(part.above) == pytest.approx(math.erfc(float(high) / math.sqrt(2)), rel=1e-13)


@pytest.mark.parametrize("width", [Decimal("1e-9"), Decimal("1e-40"), Decimal("1e-300")])
def test_two_tails_of_a_narrow_interval(width: Decimal) -> None:
    """erf(z / sqrt 2) is nearly z sqrt(2 / pi)."""
    part = truncated.two_tails(truncated.Bounds(-width, 3 * width, 4 * width), 64, 31)
    slope = math.sqrt(2 / math.pi)
    with localcontext(CONTEXT):
        assert float(part.start / width) == pytest.approx(-slope, rel=1e-15)
        assert float(part.mass / width) == pytest.approx(4 * slope, rel=1e-15)


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("-4", "1"),
        ("-6.9", "6.9"),
        ("-inf", "0.5"),
        ("-1e-12", "4"),
        ("-4", "1e-12"),
        ("-inf", "6.95"),
    ],
)
def test_words_on_the_sides_of_the_mean(low: str, high: str) -> None:
    part = truncated.two_tails(bounds(low, high), 32, 9)
    step, end, below = truncated.share_words(part)
    last = max(below, 2**32 - below) - 1
    with localcontext(CONTEXT):
        left = 1 - part.below
        assert step == part.mass / 2**32
        assert 0 <= below < 2**32
        assert abs(below - left / step) <= (1 if below == 2**32 - 1 else Decimal("0.5"))
        # On the longer side t and v of the last word, and of every other, make up 1.
        assert -Decimal("1e-40") < last * step + step / 2 + end - 1 <= step / 2
        # No word is beyond a bound by more than the half of one that the mean may be moved.
        farthest = min(part.below, part.above)
        assert end >= step / 2
        assert abs(end - farthest - step / 2) <= step


def test_words_of_bounds_that_are_symmetric() -> None:
    part = truncated.two_tails(bounds(-5, 5), 32, 9)
    sides = truncated.share_words(part)
    assert sides.below == 2**31
    with localcontext(CONTEXT):
        assert abs(sides.end - part.below - sides.step / 2) < Decimal("1e-40")
