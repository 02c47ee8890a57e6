"""uniform_ stays in [a, b): shown at the largest of the 2**24 (or 2**53) integers."""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tritoninit import Key, init
from tritoninit.arith import fma
from tritoninit.recipe import Uniform
from tritoninit.sampler import DType, lower, uniform_constants

SINGLE = st.floats(width=32, allow_nan=False, allow_infinity=False)
TOP = np.float32(2**24 - 1)


def ordered(pair):
    return min(pair), max(pair)


@settings(max_examples=4000, derandomize=True, deadline=None)
@given(st.tuples(SINGLE, SINGLE).map(ordered))
@example((0.0, 1.0))
@example((-0.1, 0.1))
@example((1.0, 1.0000001192092896))
@example((0.0, 1e-45))
@example((16777216.0, 16777218.0))
@example((-3e38, 1e-30))
def test_float32_values_are_below_b_and_not_below_a(pair):
    a, b = pair
    if not b - a <= float(np.finfo(np.float32).max):
        return
    scale, low = uniform_constants(a, b)
    assert low == np.float32(a)
    largest = fma(TOP, scale, low)
    if a < b:
        assert largest < np.float32(b)
    else:
        assert largest == low
    assert largest >= low
    # Given up: a part in 2**23 of the interval, a spacing of its ends, a subnormal scale's error.
    lost = float(b) - float(largest)
    spacing = max(abs(end) for end in pair) * 2.0**-23
    assert lost <= (b - a) * 2.0**-23 + 2 * spacing + 2.0**-125


@settings(max_examples=2000, derandomize=True, deadline=None)
@given(st.tuples(*[st.floats(-1e300, 1e300)] * 2).map(ordered))
@example((0.0, 1.0))
@example((0.0, 5e-324))
@example((1.0, 1.0000000000000002))
def test_float64_values_are_below_b_and_not_below_a(pair):
    a, b = pair
    scale, low = lower(Uniform(a, b), (), DType.FLOAT64).params
    exact = math.fsum([float(low)])
    largest = (2.0**53 - 1) * float(scale) + exact
    assert largest >= a
    assert largest < b or a == b == largest


@pytest.mark.parametrize(
    ("dtype", "least"),
    [(torch.float32, 2.0**-102), (torch.float64, 2.0**-969), (torch.complex128, 2.0**-969)],
)
def test_an_interval_whose_steps_no_float_holds_is_refused(dtype, least):
    tensor = torch.empty(1 << 12, dtype=dtype)
    init.uniform_(tensor, 0.0, least, generator=Key(1))
    values = torch.view_as_real(tensor) if dtype.is_complex else tensor
    assert 0.49 < values.double().mean() / least < 0.51
    with pytest.raises(ValueError, match="expects b - a to be 0 or at least 2"):
        init.uniform_(tensor, 0.0, least / 2)
