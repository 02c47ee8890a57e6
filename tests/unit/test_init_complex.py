"""Complex tensors: which initializers take them, and what the values are."""

import math

import pytest
import torch

from tritoninit import Key, init

KEY = Key(11).fold_in("complex")
DTYPES = [torch.complex64, torch.complex128]
RANDOM = {
    **dict.fromkeys(["uniform_", "normal_", "xavier_uniform_", "xavier_normal_"], ()),
    **dict.fromkeys(["kaiming_uniform_", "kaiming_normal_"], ()),
    "sparse_": (0.4,),
}
FIXED = {"constant_": (1.5 - 2j,), "ones_": (), "zeros_": (), "eye_": (), "dirac_": (2,)}
REFUSED = {"trunc_normal_": (), "orthogonal_": ()}
VIEWS = {
    "conjugated": torch.Tensor.conj,
    "negated": torch._neg_view,
    "conjugated and negated": lambda whole: torch._neg_view(whole.conj()),
    "transposed, conjugated": lambda whole: whole.mT.contiguous().mH,
    "every second": lambda whole: whole.repeat_interleave(2, -1)[..., ::2],
    "every second, conjugated": lambda whole: whole.repeat_interleave(2, -1)[..., ::2].conj(),
}


def filled(name, tensor):
    kwargs = {"generator": KEY} if name in RANDOM else {}
    return getattr(init, name)(tensor, *{**RANDOM, **FIXED}[name], **kwargs)


def empty(name, dtype):
    return torch.full((12, 4, 10) if name == "dirac_" else (48, 40), math.nan, dtype=dtype)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", [*RANDOM, *FIXED])
def test_views_hold_the_values(name, dtype, view):
    tensor = VIEWS[view](empty(name, dtype))
    version = tensor._version
    assert filled(name, tensor) is tensor
    assert torch.equal(tensor, filled(name, empty(name, dtype)))
    assert tensor._version > version


@pytest.mark.parametrize("view", ["conjugated", "negated"])
@pytest.mark.parametrize("name", ["uniform_", "sparse_"])
def test_lazy_views_of_real_numbers_and_parts_hold_the_values(name, view):
    whole = filled(name, empty(name, torch.complex64))
    part = VIEWS[view](torch.empty(20, 7, dtype=torch.complex64))
    arguments = {"global_shape": whole.shape, "global_offset": (9, 3), "generator": KEY}
    getattr(init, name)(part, *RANDOM[name], **arguments)
    assert torch.equal(part, whole[9:29, 3:10])
    imaginary = torch.empty(48, 40, dtype=torch.complex64).conj().imag
    assert imaginary.is_neg()
    assert torch.equal(filled(name, imaginary), filled(name, torch.empty(48, 40)))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", FIXED)
def test_fixed_values_are_torchs(name, dtype):
    expected = getattr(torch.nn.init, name)(empty(name, dtype), *FIXED[name])
    assert torch.equal(filled(name, empty(name, dtype)), expected)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", RANDOM)
def test_spreads_are_torchs(name, dtype):
    shape = (256, 128)
    torch.manual_seed(5)
    pairs = (
        torch.view_as_real(tensor)
        for tensor in (
            filled(name, torch.empty(shape, dtype=dtype)),
            getattr(torch.nn.init, name)(torch.empty(shape, dtype=dtype), *RANDOM[name]),
        )
    )
    ours, theirs = (pair[pair != 0] for pair in pairs)
    # Four standard errors of the difference of two standard deviations and 4.2 of that of two
    # means: samples of one law fail at one seed in 10,000, and this seed is fixed.
    assert abs(ours.std() / theirs.std() - 1) < 4 / math.sqrt(ours.numel())
    assert abs(ours.mean() - theirs.mean()) < 6 * ours.std() / math.sqrt(ours.numel())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", REFUSED)
def test_what_torch_refuses_is_refused_as_there(name, dtype):
    with pytest.raises((RuntimeError, NotImplementedError)) as theirs:
        getattr(torch.nn.init, name)(torch.empty(4, 4, dtype=dtype))
    tensor = torch.zeros(4, 4, dtype=dtype)
    with pytest.raises(theirs.type) as ours:
        getattr(init, name)(tensor)
    assert str(ours.value) == str(theirs.value)
    assert not tensor.any()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", ["uniform_", "normal_", "sparse_"])
def test_complex_numbers_are_pairs_of_real_ones(name, dtype):
    shape = (64, 32)
    tensor = filled(name, torch.empty(shape, dtype=dtype))
    if name == "sparse_":
        assert ((tensor == 0).sum(0) == 26).all()
    real = torch.empty((*shape, 2), dtype=dtype.to_real())
    std = {"sparse_": 0.01}.get(name, 1.0) / math.sqrt(2)
    if name == "uniform_":
        init.uniform_(real, generator=KEY)
    else:
        init.normal_(real, 0.0, std, generator=KEY)
    kept = torch.view_as_real(tensor) != 0
    assert torch.equal(torch.view_as_real(tensor)[kept], real[kept])
