"""What the initializers write: any strides, any mode torch is in, one rounding, no side effects."""

import math
from math import inf

import numpy as np
import pytest
import torch

from tritoninit import Key, init

KEY = Key(11).fold_in("values")
RANDOM = {
    **dict.fromkeys(["uniform_", "normal_", "trunc_normal_", "orthogonal_"], ()),
    **dict.fromkeys(["xavier_uniform_", "xavier_normal_", "kaiming_uniform_"], ()),
    "kaiming_normal_": (),
    "sparse_": (0.5,),
}
FIXED = {"constant_": (0.3,), "ones_": (), "zeros_": (), "eye_": (), "dirac_": ()}
ALL = {**RANDOM, **FIXED}
LOW = [torch.bfloat16, torch.float16]


def shape_for(name):
    return (6, 4, 3) if name == "dirac_" else (6, 8)


def filled(name, tensor, *args, key=KEY, **kwargs):
    if name in RANDOM:
        kwargs["generator"] = key
    return getattr(init, name)(tensor, *(args or ALL[name]), **kwargs)


def reference(name, dtype=torch.float32):
    return filled(name, torch.full(shape_for(name), torch.nan, dtype=dtype))


LAYOUTS = {
    "transposed": lambda s: torch.empty(s[::-1]).permute(*range(len(s))[::-1]),
    "every other": lambda s: torch.empty(*s[:-1], 2 * s[-1])[..., ::2],
    "inner part": lambda s: torch.empty([n + 3 for n in s])[tuple(slice(1, n + 1) for n in s)],
    "offset by one": lambda s: torch.empty(math.prod(s) + 1)[1:].view(s),
    "channels last": lambda s: (
        torch.empty(s[0], *s[2:], s[1]).movedim(-1, 1) if len(s) > 2 else torch.empty(s)
    ),
    "parameter": lambda s: torch.nn.Parameter(torch.empty(s)),
    "expanded by one": lambda s: (
        torch.empty(math.prod(s)).view(s[0], 1, -1).expand(-1, 1, -1).view(s)
    ),
    "negated view": lambda s: torch._neg_view(torch.empty(s)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ALL)
def test_strides_do_not_reach_the_values(name, layout):
    tensor = LAYOUTS[layout](shape_for(name))
    with torch.no_grad():
        tensor.fill_(torch.nan)
    assert torch.equal(filled(name, tensor), reference(name))


@pytest.mark.parametrize("name", ALL)
def test_nothing_beside_the_view_is_written(name):
    shape = shape_for(name)
    whole = torch.full([n + 4 for n in shape], 7.0)
    inside = tuple(slice(2, n + 2) for n in shape)
    filled(name, whole[inside])
    whole[inside] = 7.0
    assert (whole == 7).all()


@pytest.mark.parametrize("name", ["uniform_", "normal_", "trunc_normal_", "constant_", "zeros_"])
def test_tensors_without_dimensions_take_the_first_element(name):
    expected = filled(name, torch.empty(5))[0]
    assert torch.equal(filled(name, torch.empty(())), expected)


@pytest.mark.parametrize("dtype", LOW)
@pytest.mark.parametrize("name", ALL)
def test_half_precision_is_the_float32_value_rounded_once(name, dtype):
    assert torch.equal(reference(name, dtype), reference(name).to(dtype))


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize(
    "dtype",
    [
        *(torch.float64, torch.bfloat16, torch.float16, torch.bool, torch.complex128),
        *(torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64),
        *(torch.uint16, torch.uint32, torch.uint64),
        *(torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e8m0fnu),
    ],
)
def test_constants_and_patterns_are_torchs_in_every_dtype(name, dtype):
    tensor = torch.ones(shape_for(name), dtype=dtype)
    expected = torch.ones(shape_for(name), dtype=dtype)
    filled(name, tensor)
    if name == "eye_" and dtype in (torch.uint16, torch.uint32, torch.uint64):
        expected.copy_(torch.eye(*expected.shape))  # torch.eye has no kernel for these
    else:
        getattr(torch.nn.init, name)(expected, *FIXED[name])
    assert torch.equal(tensor.view(torch.uint8), expected.view(torch.uint8))


@pytest.mark.parametrize("groups", [1, 2, 3, 6, True])
@pytest.mark.parametrize("shape", [(6, 4, 3), (6, 1, 2, 5), (6, 8, 1, 2, 3), (6, 2, 4)])
def test_dirac_is_torchs(shape, groups):
    ours, torchs = torch.full(shape, torch.nan), torch.full(shape, torch.nan)
    assert torch.equal(init.dirac_(ours, groups), torch.nn.init.dirac_(torchs, groups))


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (5, 3), (0, 3), (3, 0)])
def test_eye_is_torchs(shape):
    ours, torchs = torch.full(shape, torch.nan), torch.full(shape, torch.nan)
    assert torch.equal(init.eye_(ours), torch.nn.init.eye_(torchs))


@pytest.mark.parametrize("name", ALL)
def test_the_version_counter_of_the_tensor_and_of_its_views_moves(name):
    tensor = torch.empty(shape_for(name))
    view = tensor[:1]
    version = tensor._version
    filled(name, tensor)
    assert tensor._version > version
    assert view._version == tensor._version


def test_backward_notices_that_a_saved_tensor_was_initialized():
    weight = torch.ones(3, 3, requires_grad=True)
    out = (weight * weight).sum()
    init.normal_(weight, generator=KEY)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.backward()


@pytest.mark.parametrize("name", ALL)
def test_leaves_that_require_grad_stay_leaves(name):
    tensor = torch.empty(shape_for(name), requires_grad=True)
    filled(name, tensor)
    assert tensor.requires_grad
    assert tensor.is_leaf
    assert tensor.grad_fn is None


CONTEXTS = {
    "no_grad": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "device meta": lambda: torch.device("meta"),
    "inference mode": torch.inference_mode,
}


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("name", ALL)
def test_torchs_modes_do_not_reach_the_values(name, context):
    tensor = torch.full(shape_for(name), torch.nan)
    with CONTEXTS[context]():
        filled(name, tensor)
    assert torch.equal(tensor, reference(name))


@pytest.mark.parametrize("name", ALL)
def test_torchs_defaults_do_not_reach_the_values(name):
    expected, drawn = reference(name), torch.full(shape_for(name), torch.nan)
    tensor = torch.full(shape_for(name), torch.nan)
    torch.manual_seed(2)
    getattr(init, name)(drawn, *ALL[name])
    again = torch.full(shape_for(name), torch.nan)
    try:
        torch.set_default_device("meta")
        torch.set_default_dtype(torch.bfloat16)
        filled(name, tensor)
        torch.manual_seed(2)
        getattr(init, name)(again, *ALL[name])
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert torch.equal(tensor, expected)
    assert torch.equal(again, drawn)


@pytest.mark.parametrize("name", ALL)
def test_inference_tensors_are_filled_inside_inference_mode(name):
    with torch.inference_mode():
        assert torch.equal(filled(name, torch.empty(shape_for(name))), reference(name))


def test_a_copy_on_write_original_keeps_its_values():
    original = torch.full((6, 8), 7.0)
    filled("normal_", torch._lazy_clone(original))
    assert (original == 7).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, *LOW])
@pytest.mark.parametrize("value", [0.3, -1e-3, 1e30])
def test_equal_bounds_give_the_value(dtype, value):
    if dtype is torch.float16 and value > 1:
        value = 6e4
    expected = torch.full((9,), value, dtype=dtype)
    assert torch.equal(init.uniform_(torch.empty_like(expected), value, value), expected)
    assert torch.equal(
        init.trunc_normal_(torch.empty_like(expected), value, 1.0, value, value), expected
    )


def test_a_huge_std_overflows_as_a_cast_does():
    expected = init.normal_(torch.empty(4096), std=1e5, generator=KEY).to(torch.float16)
    tensor = init.normal_(torch.empty(4096, dtype=torch.float16), std=1e5, generator=KEY)
    assert expected.isinf().any()
    assert torch.equal(tensor, expected)


@pytest.mark.parametrize(
    ("a", "b"), [(-inf, inf), (-inf, -3.0), (3.0, inf), (-inf, 0.5), (-1.0, inf)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, *LOW])
@pytest.mark.filterwarnings("ignore:mean is more than 2 std")
def test_infinite_bounds_are_open_ends(a, b, dtype):
    tensor = init.trunc_normal_(torch.empty(10_000, dtype=dtype), 0.0, 1.0, a, b, generator=KEY)
    assert tensor.isfinite().all()
    assert ((tensor >= a) & (tensor <= b)).all()
    assert tensor.unique().numel() > 90


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, *LOW])
@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [
        (0.0, 1.0, 0.1, 0.1 + 1e-12),
        (0.0, 1e-30, -2.0, 2.0),
        (1e30, 1.0, -2.0, 2.0),
        (0.0, 1e30, -2.0, 2.0),
        (0.0, 1.0, 1e4, 2e4),
        (0.3, 0.1, 0.30000001, 0.30000002),
        (-5.0, 1e-3, 5.0, 6.0),
    ],
)
@pytest.mark.filterwarnings("ignore:mean is more than 2 std")
def test_extreme_truncations_stay_within_the_bounds_of_the_dtype(mean, std, a, b, dtype):
    tensor = init.trunc_normal_(torch.empty(1000, dtype=dtype), mean, std, a, b, generator=KEY)
    low, high = torch.tensor([a, b], dtype=torch.float64).to(dtype)
    assert ((tensor >= low) & (tensor <= high)).all(), (tensor.min(), tensor.max())


def test_uniform_float32_is_a_plus_a_multiple_of_its_step():
    a, b = -0.75, 0.5
    tensor = init.uniform_(torch.empty(4096), a, b, generator=KEY).double().numpy()
    steps = (tensor - a) / ((b - a) * 2.0**-24)
    assert np.abs(steps - np.round(steps)).max() < 0.5
    assert tensor.min() >= a
    assert tensor.max() < b


@pytest.mark.parametrize("shape", [(8, 3), (3, 8), (4, 3, 2), (5, 5)])
@pytest.mark.parametrize("gain", [1, -1.5, math.sqrt(2), 0.0])
def test_orthogonal_rows_or_columns_are_orthonormal(shape, gain):
    tensor = init.orthogonal_(torch.empty(shape, dtype=torch.float64), gain, generator=KEY)
    matrix = tensor.reshape(shape[0], -1)
    product = matrix @ matrix.T if matrix.shape[0] < matrix.shape[1] else matrix.T @ matrix
    expected = gain**2 * torch.eye(product.shape[0], dtype=torch.float64)
    assert (product - expected).abs().max() <= 1e-14 * max(1.0, gain**2)
