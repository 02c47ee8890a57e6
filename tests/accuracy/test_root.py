"""Roots and reciprocals of the kernels, for all that a GPU's approximate rsqrt may give.

The source of ``kernels/sampling.py`` is compiled for the CPU with a guess in the place of
``tl.rsqrt``, and run for every float32 in [1, 4) and every guess that is allowed.  That is
every case: in the ranges in use, 4 x has the same significands as x, one exponent up.
"""

from __future__ import annotations

import ast
import math
import re
import textwrap
from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import numpy as np
import pytest

from tests.gpu_compile.expected import functions
from tritoninit import sampling, truncated
from tritoninit.backends.numba_compile import OPERATIONS, compiled_scope, fma

SPREAD = 4  # units in the last place on either side of the rounded 1 / sqrt(x)
# The largest relative error of rsqrt.approx.f32 (PTX ISA); v_rsq_f32 (AMD's ISA documents) is
# within one unit in the last place, which is at most 2**-23.
PROMISE = 2.0**-22.9
ONE, FOUR = 0x3F800000, 0x40800000  # bits
ALL_ONES = 0x7FFFFF


@cache
def kernel(name: str, omitted: str = "") -> Any:
    """A function of the kernels that takes what rsqrt gives as its second argument."""
    text = "\n".join(map(ast.unparse, functions(double=False)[name].body))
    assert "tl.rsqrt(x)" in text
    assert omitted in text
    text = text.replace("tl.rsqrt(x)", "guess").replace("tl.fma", "fma").replace(omitted, "")
    text = re.sub(r"\b\d+\.\d+\b", lambda number: f"np.float32({number.group()})", text)
    scope: dict[str, Any] = {"np": np, "fma": fma, "minus": numba.njit(lambda x: -x)}
    scope["i32_of"] = numba.njit(OPERATIONS["bits_of_f32"])
    scope["f32_of"] = numba.njit(OPERATIONS["f32_of_bits"])
    exec(f"def {name}(x, guess):\n{textwrap.indent(text, '    ')}", scope)
    return numba.njit(error_model="numpy")(scope[name])


@cache
def sweep(
    name: str, exact: Callable[[Any], Any], chosen: Callable[[Any], Any], omitted: str = ""
) -> Any:
    """A compiled loop over a range of bits: (guesses tried, guesses with a wrong result)."""
    function, right, wanted = kernel(name, omitted), numba.njit(exact), numba.njit(chosen)
    f32_of = numba.njit(OPERATIONS["f32_of_bits"])
    bits_of = numba.njit(OPERATIONS["bits_of_f32"])

    @numba.njit(error_model="numpy")
    def run(first: int, end: int, promise: float) -> tuple[int, int]:
        tried = wrong = 0
        for bits in range(first, end):
            if not wanted(bits):
                continue
            x = f32_of(bits)
            expected = right(x)
            inverse = 1 / math.sqrt(np.float64(x))
            nearest = bits_of(np.float32(inverse))
            for step in range(-SPREAD, SPREAD + 1):
                guess = f32_of(nearest + step)
                if abs(guess / inverse - 1) <= promise:
                    tried += 1
                    wrong += function(x, guess) != expected
        return tried, wrong

    return run


def root(x: Any) -> Any:
    return np.sqrt(x)


def inverse(x: Any) -> Any:
    return np.float32(1) / x


def odd(bits: Any) -> Any:
    return (bits & 1) == 1


def even(bits: Any) -> Any:
    return (bits & 1) == 0


def mixed(bits: Any) -> Any:
    return (bits & ALL_ONES) != ALL_ONES


def full(bits: Any) -> Any:
    return (bits & ALL_ONES) == ALL_ONES


def test_every_root_of_an_odd_significand_is_rounded() -> None:
    tried, wrong = sweep("root", root, odd)(ONE, FOUR, PROMISE)
    assert tried > 25_000_000
    assert wrong == 0


def test_every_reciprocal_is_rounded() -> None:
    tried, wrong = sweep("reciprocal", inverse, mixed)(ONE, FOUR, PROMISE)
    assert tried > 50_000_000
    assert wrong == 0


def test_the_conditions_are_needed() -> None:
    """Without them some guesses give a wrong result, and the sweep finds it."""
    assert sweep("root", root, even, omitted=" | 1")(ONE, FOUR, PROMISE)[1] == 2
    assert sweep("reciprocal", inverse, full)(ONE, FOUR, PROMISE)[1] == 5


@pytest.mark.parametrize("exponent", [-30, -2, 40])
def test_other_exponents_are_like_these(exponent: int) -> None:
    """Over the exponents in use: 2**-30 to 1 of radii, 1 to 2**34 of tails."""
    first = ONE + (exponent << 23)
    end = first + (1 << 18)
    reference = sweep("root", root, odd)(ONE, ONE + (1 << 18), PROMISE)
    assert sweep("root", root, odd)(first, end, PROMISE) == reference


def test_the_guesses_are_all_that_are_allowed() -> None:
    """Beyond SPREAD units nothing is within the promise, and one unit always is near it."""
    unit = 2.0**-24  # of the largest significands, relative; of the smallest twice that
    assert (SPREAD - 0.5) * unit > PROMISE > 2 * unit


def test_no_denominator_of_the_rational_has_all_bits_set() -> None:
    """For every v that its bounds allow."""
    scope = compiled_scope(sampling)
    horner, bits_of, f32_of = scope["denominator"], scope["bits_of_f32"], scope["f32_of_bits"]
    reach = math.erf(truncated.RATIONAL_END / math.sqrt(2)) * (1 + 1e-6)
    first = int(np.float32(1 - reach**2).view(np.int32))

    @numba.njit
    def met(first: int, end: int) -> int:
        found = 0
        for bits in range(first, end):
            found += (bits_of(horner(f32_of(bits))) & ALL_ONES) == ALL_ONES
        return found

    assert met(first, ONE + 1) == 0
