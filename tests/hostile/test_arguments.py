"""Any number as a bound, mean, std or gain: torch's outcome, or a refusal that is documented."""

import re
from math import inf, nan

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.hostile.calls import outcome
from tritoninit import init

SPECIAL = [
    *(0.0, -0.0, 1.0, -1.0, 2.0, 0.02, 2.0**-24, 1 + 2**-24),
    *(5e-324, 1e-310, 1e-45, 1.17e-38, 2.0**-102, 2.0**-103, 1e-30),  # subnormal, tiny
    *(65504.0, 65520.0, 1e5, 3e38, 3.4028235e38, 3.5e38, 1e39, 1.79e308),  # each dtype's largest
    *(inf, -inf, nan, 2**63, True),
]
numbers = st.one_of(
    st.sampled_from(SPECIAL),
    st.sampled_from(SPECIAL[:-2]).map(lambda x: -x),
    st.floats(),
    st.floats(-10, 10),
    st.integers(-3, 3),
    st.floats(allow_nan=False, width=32).map(np.float32),
    st.floats(allow_nan=False).map(np.float64),
)
DRAWN = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
COMPLEX = [torch.complex64, torch.complex128]
COUNTS = {
    **dict.fromkeys(["uniform_", "normal_", "sparse_"], 2),
    **dict.fromkeys(["xavier_uniform_", "xavier_normal_", "kaiming_uniform_"], 1),
    **dict.fromkeys(["orthogonal_", "constant_"], 1),
}
# What torch fills with NaN, infinities, garbage or clipped arguments, or fails on in another way.
REFUSED = re.compile(
    r"normal_ expects a finite mean and std|uniform_ expects b - a to be 0 or at least"
    r"|orthogonal_ expects a finite gain|sparse_ expects sparsity in \[0, 1\]"
)


def called(module, name, dtype, arguments):
    tensor = torch.full((8, 8), 7.0, dtype=dtype)
    generator = torch.Generator().manual_seed(1)
    kwargs = {} if name == "constant_" else {"generator": generator}
    made = outcome(lambda: getattr(module, name)(tensor, *arguments, **kwargs))
    assert made[0] == "ok" or module is torch.nn.init or (tensor == 7).all()
    return made


def rounded(value, dtype):
    return torch.tensor(float(value), dtype=torch.float64).to(dtype)


@settings(max_examples=1500, derandomize=True, deadline=None)
@example("uniform_", torch.float64, [np.float64(-1e300), True])
@example("uniform_", torch.float64, [1e154, True])
@example("sparse_", torch.complex64, [1.0, 3e38])
@given(
    st.sampled_from(sorted(COUNTS)),
    st.sampled_from([*DRAWN, *COMPLEX]),
    st.lists(numbers, min_size=2, max_size=2),
)
def test_the_outcome_is_torchs_or_a_documented_refusal(name, dtype, arguments):
    arguments = arguments[: COUNTS[name]]
    ours, torchs = (called(m, name, dtype, arguments) for m in (init, torch.nn.init))
    half = name == "orthogonal_" and torchs[0] is NotImplementedError  # no LAPACK in half
    if ours[0] == "ok":
        assert torchs[0] == "ok" or half
        if torchs[0] == "ok" and torchs[1].isfinite().all() and name != "orthogonal_":
            assert ours[1].isfinite().all()
    elif ours != torchs:
        documented = ours[0] is ValueError and REFUSED.match(ours[1])
        assert documented or (name == "sparse_" and torchs[0] != "ok")
    if ours[0] == "ok" and name == "uniform_":
        low, high = (
            rounded(value, dtype.to_real() if dtype.is_complex else dtype) for value in arguments
        )
        values = torch.view_as_real(ours[1]) if dtype.is_complex else ours[1]
        assert ((values >= low) & (values <= high)).all()


@settings(max_examples=600, derandomize=True, deadline=None)
@given(st.sampled_from(DRAWN), st.lists(numbers, min_size=4, max_size=4))
@pytest.mark.filterwarnings("ignore:mean is more than 2 std")
def test_a_truncated_normal_lies_within_its_bounds_or_is_refused(dtype, arguments):
    mean, std, a, b = map(float, arguments)
    kind, result = called(init, "trunc_normal_", dtype, arguments)
    if kind == "ok":
        low, high = rounded(a, dtype), rounded(b, dtype)
        assert ((result >= low) & (result <= high)).all()
        assert (result.isfinite() | (result == low) | (result == high)).all()  # as a cast overflows
        return
    largest = torch.finfo(dtype).max
    empty = not a <= b or a > largest or b < -largest
    assert kind is (RuntimeError if empty else ValueError)
    assert empty or not (0 < std < inf and abs(mean) < inf), result


@pytest.mark.parametrize("dtype", DRAWN, ids=str)
@pytest.mark.parametrize("std", [0.0, 5e-324, 1e-45, 1e-40, 1e-8])
def test_a_std_of_nothing_is_exact(dtype, std):
    tensor = init.normal_(torch.empty(1000, dtype=dtype), 0.25, std)
    assert ((tensor - 0.25).abs() <= 7 * std).all() or (tensor == 0.25).all()
    assert std or (tensor == 0.25).all()


@pytest.mark.parametrize("name", ["uniform_", "normal_"])
@pytest.mark.parametrize(
    "value",
    [np.float32(0.5), np.float64(0.5), np.int64(0), torch.tensor(0.5), True],
    ids=repr,
)
def test_numbers_of_other_types_are_numbers(name, value):
    first = torch.Generator().manual_seed(3)
    second = torch.Generator().manual_seed(3)
    tensor = getattr(init, name)(torch.empty(9), value, 2.0, generator=first)
    expected = getattr(init, name)(torch.empty(9), float(value), 2.0, generator=second)
    assert torch.equal(tensor, expected)


@pytest.mark.parametrize(
    "value", ["1", b"1", None, [1.0], (1.0,), {}, 1j, object(), torch.ones(1), np.ones(3)], ids=str
)
@pytest.mark.parametrize("name", ["uniform_", "normal_"])
def test_what_is_no_number_is_refused_as_torch_does(name, value):
    ours, torchs = (called(m, name, torch.float32, [value, 1.0]) for m in (init, torch.nn.init))
    assert ours == torchs
    assert ours[0] != "ok"
