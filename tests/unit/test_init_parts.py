"""A part of a tensor is the slice of the whole, for every initializer, box, run and dtype."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tritoninit import Key, init

KEY = Key(23).fold_in("parts")
RANDOM = {
    **dict.fromkeys(["uniform_", "normal_", "orthogonal_"], ()),
    "trunc_normal_": (0.0, 1.0, -1.0, 3.5),
    **dict.fromkeys(["xavier_uniform_", "xavier_normal_"], ()),
    **dict.fromkeys(["kaiming_uniform_", "kaiming_normal_"], ()),
    "sparse_": (0.4,),
}
FIXED = {"constant_": (0.3,), "ones_": (), "zeros_": (), "eye_": (), "dirac_": (2,)}
FLOATS = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
DTYPES = {
    **{name: [*FLOATS, torch.complex64] for name in ("uniform_", "normal_", "sparse_")},
    **{name: [*FLOATS, torch.int32, torch.bool, torch.complex128] for name in FIXED},
}


def filled(name, tensor, **kwargs):
    if name in RANDOM:
        kwargs["generator"] = KEY
    return getattr(init, name)(tensor, *{**RANDOM, **FIXED}[name], **kwargs)


def ranks(name):
    if name in ("eye_", "sparse_"):
        return 2, 2
    if name == "dirac_":
        return 3, 4
    fans = name.startswith(("xavier", "kaiming", "orthogonal"))
    return (2, 4) if fans else (1, 4)


@st.composite
def wholes(draw, name):
    least, most = ranks(name)
    rank = draw(st.integers(least, most))
    shape = [draw(st.integers(1, 7)) for _ in range(rank)]
    if name == "dirac_":
        shape[0] *= 2
    return tuple(shape), draw(st.sampled_from(DTYPES.get(name, FLOATS)))


@pytest.mark.parametrize("name", [*RANDOM, *FIXED])
@settings(deadline=None, max_examples=40, derandomize=True)
@given(data=st.data())
def test_a_box_is_the_slice_of_the_whole(name, data):
    shape, dtype = data.draw(wholes(name))
    whole = filled(name, torch.ones(shape, dtype=dtype))
    offset = tuple(data.draw(st.integers(0, size)) for size in shape)
    sizes = tuple(
        data.draw(st.integers(0, size - low)) for size, low in zip(shape, offset, strict=True)
    )
    order = data.draw(st.permutations(range(len(shape))))
    box = torch.ones([sizes[dim] for dim in order], dtype=dtype)
    box = box.permute(*(order.index(dim) for dim in range(len(shape))))
    assert box.shape == sizes
    result = filled(name, box, global_shape=shape, global_offset=offset)
    assert result is box
    slices = tuple(slice(low, low + size) for low, size in zip(offset, sizes, strict=True))
    assert torch.equal(box, whole[slices])


@pytest.mark.parametrize("name", [*RANDOM, *FIXED])
@settings(deadline=None, max_examples=40, derandomize=True)
@given(data=st.data())
def test_a_flat_run_is_the_slice_of_the_flattened_whole(name, data):
    shape, dtype = data.draw(wholes(name))
    whole = filled(name, torch.ones(shape, dtype=dtype)).flatten()
    start = data.draw(st.integers(0, math.prod(shape)))
    length = data.draw(st.integers(0, math.prod(shape) - start))
    step = data.draw(st.integers(1, 3))
    run = torch.ones(length * step, dtype=dtype)[::step]
    filled(name, run, global_shape=shape, global_offset=start)
    assert torch.equal(run, whole[start : start + length])


@pytest.mark.parametrize("name", ["uniform_", "normal_", "trunc_normal_"])
@pytest.mark.parametrize("start", [2**31 - 2, 2**32 - 3, 2**35 + 5, 2**61])
def test_far_elements_are_reached_without_the_tensor(name, start):
    shape = (2**31, 2**31)
    run = filled(name, torch.empty(9), global_shape=shape, global_offset=start)
    row, column = divmod(start + 4, 2**31)
    box = torch.empty(1, 1)
    filled(name, box, global_shape=shape, global_offset=(row, column))
    assert box.item() == run[4].item()
    assert run.unique().numel() == 9


def test_numpy_and_torch_sizes_are_accepted():
    whole = filled("normal_", torch.empty(4, 3))
    part = torch.empty(2, 3)
    filled("normal_", part, global_shape=whole.shape, global_offset=torch.Size([2, 0]))
    assert torch.equal(part, whole[2:])
    filled("normal_", part, global_shape=[4, 3], global_offset=[0, 0])
    assert torch.equal(part, whole[:2])
    run = torch.empty(5)
    start = torch.arange(8)[7].numpy()[()]
    filled("normal_", run, global_shape=(4, 3), global_offset=start)
    assert torch.equal(run, whole.flatten()[7:])


def test_fans_are_those_of_the_global_shape():
    shape = (400, 100)
    part = torch.empty(10, 100)
    init.kaiming_uniform_(
        part, mode="fan_out", generator=KEY, global_shape=shape, global_offset=(0, 0)
    )
    bound = math.sqrt(6 / 400)
    assert bound * 0.95 < part.abs().max() <= bound


def test_an_empty_part_still_draws_so_that_ranks_stay_in_step():
    torch.manual_seed(0)
    init.normal_(torch.empty(0, 3), global_shape=(4, 3), global_offset=(4, 0))
    after_empty = torch.get_rng_state()
    torch.manual_seed(0)
    init.normal_(torch.empty(4, 3), global_shape=(4, 3), global_offset=(0, 0))
    assert torch.equal(torch.get_rng_state(), after_empty)
