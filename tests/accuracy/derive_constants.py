"""Derive the constants of ``tritoninit/sampling.py`` and print them with their errors.

    python tests/accuracy/derive_constants.py

Minimax polynomials come from Remez's exchange in 40-digit arithmetic; the rational fit of the
inverse error function from Lawson's reweighted least squares (in float64, so its last digits
depend on the linear-algebra library; the error does not).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import mpmath as mp
import numpy as np
import numpy.typing as npt
from scipy import special

Function = Callable[[Any], Any]

DIGITS = 40
ROUNDS = 30  # of the exchange; it converges in six
GRID = 40  # points an extremum is looked for between, for each of them
LAWSON_ROUNDS = 600
LAWSON_POINTS = 6000
ROOT_HALF = mp.sqrt(mp.mpf(1) / 2)
ROOT_2 = mp.sqrt(2)
RADIUS_UNIT = mp.mpf(8)  # the radius is computed in units of it
W_CENTRE = mp.mpf("2.75")
RATIONAL_REACH = 2.0  # sigma


def remez(f: Function, degree: int, a: Any, b: Any, weight: Function) -> tuple[list[Any], Any]:
    """The polynomial that minimises max |(p - f) * weight| on [a, b], and that maximum."""
    count = degree + 2
    nodes = [
        (a + b) / 2 + (b - a) / 2 * mp.cos(mp.pi * (count - 1 - i) / (count - 1))
        for i in range(count)
    ]
    points = GRID * count
    grid = [a + (b - a) * (1 - mp.cos(mp.pi * k / points)) / 2 for k in range(points + 1)]
    for _ in range(ROUNDS):
        system, right = mp.matrix(count, count), mp.matrix(count, 1)
        for i, x in enumerate(nodes):
            for j in range(degree + 1):
                system[i, j] = x**j
            system[i, degree + 1] = (-1) ** i / weight(x)
            right[i] = f(x)
        solution = mp.lu_solve(system, right)
        coefficients = [solution[j] for j in range(degree + 1)]
        errors = [(mp.polyval(coefficients[::-1], x) - f(x)) * weight(x) for x in grid]
        extrema = alternating(errors)
        while len(extrema) > count:
            extrema.pop(0 if abs(errors[extrema[0]]) < abs(errors[extrema[-1]]) else -1)
        largest = max(abs(error) for error in errors)
        if len(extrema) < count or largest - abs(solution[degree + 1]) < largest / 1000:
            break
        nodes = [grid[k] for k in extrema]
    return coefficients, largest


def alternating(errors: list[Any]) -> list[int]:
    """The largest local extremum of each run of errors of one sign."""
    found: list[int] = []
    for k, error in enumerate(errors):
        if found and error * errors[found[-1]] > 0:
            if abs(error) > abs(errors[found[-1]]):
                found[-1] = k
        else:
            found.append(k)
    return found


def log_ratio(m: Any) -> Any:
    """-ln(1 + m) / m."""
    return -mp.log1p(m) / m if m != 0 else mp.mpf(-1)


def log_weight(m: Any) -> Any:
    """Errors relative to -ln(u), which for m > 0 is at least ln 2 - ln(1 + m)."""
    if m < 0:
        return 1 / abs(log_ratio(m))
    return max(m / (mp.log(2) - mp.log1p(m)), mp.mpf("1e-3"))


def square(m: Any) -> Any:
    """-2 ln(1 + m / 2) / m, over the square of RADIUS_UNIT."""
    return -2 * mp.log1p(m / 2) / m / RADIUS_UNIT**2 if m != 0 else -1 / RADIUS_UNIT**2


def sine(w: Any) -> Any:
    """RADIUS_UNIT sin(pi/2 x) / x in w = 1 - x**2."""
    x = mp.sqrt(1 - w)
    return RADIUS_UNIT * (mp.sin(mp.pi / 2 * x) / x if x > 0 else mp.pi / 2)


def cosine(w: Any) -> Any:
    """RADIUS_UNIT cos(pi/2 x) / w in w = 1 - x**2."""
    return RADIUS_UNIT * (mp.cos(mp.pi / 2 * mp.sqrt(1 - w)) / w if w > 0 else mp.pi / 4)


def inverse_erf(w: Any) -> Any:
    """sqrt(2) erfinv(x) / x for w = -ln(1 - x**2)."""
    if w <= 0:
        return mp.sqrt(mp.pi / 2)
    x = mp.sqrt(-mp.expm1(-w))
    return ROOT_2 * mp.erfinv(x) / x


def lawson(
    degree: int, reach: float
) -> tuple[float, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """P(v) / Q(v) for sqrt(2) erfinv(x) / x, v = 1 - x**2, |z| <= reach: (error, P, Q)."""
    lowest = 1 - float(special.erf(reach / np.sqrt(2)) + 1e-6) ** 2
    angle = np.pi * (np.arange(LAWSON_POINTS) + 0.5) / LAWSON_POINTS
    v = lowest + (1 - lowest) * (1 - np.cos(angle)) / 2
    x = np.sqrt(1 - v)
    target = np.sqrt(2) * special.erfinv(x) / x
    share = np.ones_like(v)
    q = np.ones_like(v)
    best: tuple[float, Any, Any] = (np.inf, None, None)
    powers = np.vander(v, degree + 1, increasing=True)
    for _ in range(LAWSON_ROUNDS):
        rows = np.hstack([powers / (target * q)[:, None], -powers[:, 1:] / q[:, None]])
        root = np.sqrt(share)
        solution = np.linalg.lstsq(rows * root[:, None], root / q, rcond=None)[0]
        top, bottom = solution[: degree + 1], np.r_[1, solution[degree + 1 :]]
        q = powers @ bottom
        error = np.abs(powers @ top / q / target - 1)
        if error.max() < best[0]:
            best = (float(error.max()), top, bottom)
        share *= (error / error.max() + 1e-3) ** 0.5
        share /= share.max()
    return best


@cache
def polynomials() -> dict[str, tuple[list[Any], Any]]:
    """Coefficients, lowest power first, and the largest relative error, by their prefix."""
    with mp.workdps(DIGITS):
        zero, one = mp.mpf(0), mp.mpf(1)
        return {
            "L": remez(log_ratio, 7, ROOT_HALF - 1, ROOT_2 - 1, log_weight),
            "R": remez(square, 7, -one, zero, lambda m: 1 / abs(square(m))),
            "S": remez(sine, 4, zero, one, lambda w: 1 / sine(w)),
            "C": remez(cosine, 4, zero, one, lambda w: 1 / cosine(w)),
            "W": remez(
                lambda t: inverse_erf(t + W_CENTRE),
                8,
                -W_CENTRE,
                W_CENTRE,
                lambda t: 1 / inverse_erf(t + W_CENTRE),
            ),
        }


def main() -> None:
    for prefix, (coefficients, error) in polynomials().items():
        print(f"# relative error 2^{mp.nstr(mp.log(error, 2), 4)}")
        for k, value in enumerate(coefficients):
            print(f"{prefix}{k} = np.float32({mp.nstr(value, 17)})")
    fit, top, bottom = lawson(4, RATIONAL_REACH)
    print(f"# relative error 2^{np.log2(fit):.2f}")
    for prefix, values in (("P", top), ("Q", bottom)):
        for k, value in enumerate(values):
            print(f"{prefix}{k} = np.float32({float(value)!r})")


if __name__ == "__main__":
    main()
