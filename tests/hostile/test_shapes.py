"""Any shape and any view: contiguous memory's values, and nothing beside them is written."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hostile.calls import ALL, RANDOM, call, outcome
from tritoninit import Key, init

KEY = Key(2**64 - 1, 2**64 - 3)  # the block counter wraps within the tensor
GUARD = 7.0
sizes = st.sampled_from([0, 1, 2, 3, 5, 7, 11, 13, 31])
shapes = st.lists(sizes, max_size=5).filter(lambda s: math.prod(s) <= 20_000)
dtypes = st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16])


@st.composite
def views(draw, shapes=shapes):
    """(memory, the view of it): any permutation, step, offset and gap."""
    shape = draw(shapes)
    order = draw(st.permutations(range(len(shape))))
    steps = [draw(st.integers(1, 3)) for _ in shape]
    starts = [draw(st.integers(0, 2)) for _ in shape]
    box = [start + step * size for start, step, size in zip(starts, steps, shape, strict=True)]
    offset = draw(st.integers(0, 3))
    numel = math.prod(box[d] for d in order)
    memory = torch.full((offset + numel,), GUARD, dtype=draw(dtypes))
    laid = memory[offset:].view([box[d] for d in order])
    whole = laid.permute([order.index(d) for d in range(len(shape))])
    return memory, whole[tuple(slice(a, None, s) for a, s in zip(starts, steps, strict=True))]


def filled(name, tensor):
    kwargs = {"generator": KEY} if name in RANDOM else {}
    return outcome(lambda: call(name, tensor, **kwargs))


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.sampled_from(sorted(ALL)), views())
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_a_view_holds_what_contiguous_memory_holds(name, view):
    memory, tensor = view
    version, address = tensor._version, tensor.data_ptr()
    expected = torch.empty(tuple(tensor.shape), dtype=tensor.dtype)
    kind, result = filled(name, tensor)
    reference = filled(name, expected)
    if kind != "ok":
        assert reference == (kind, result)
        assert (memory == GUARD).all()
        assert tensor._version == version
        return
    assert result is tensor
    assert reference[0] == "ok"
    assert tensor.data_ptr() == address
    assert torch.equal(tensor, expected)
    untouched = 0 in tensor.shape and name.startswith(("kaiming", "orthogonal"))
    assert (tensor._version > version) is not untouched
    tensor.fill_(GUARD)
    assert (memory == GUARD).all()


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.sampled_from(sorted(ALL)), shapes)
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_a_shape_is_taken_or_refused_as_torch_does(name, shape):
    ours = outcome(lambda: call(name, torch.empty(shape)))
    torchs = outcome(lambda: call(name, torch.empty(shape), torch.nn.init))
    if "ok" in (ours[0], torchs[0]):
        assert ours[0] == torchs[0]
        assert ours[1].isfinite().all()
    else:
        assert ours == torchs


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.data())
def test_a_part_of_a_huge_tensor_is_its_rows_as_flat_runs(data):
    """Global shapes of up to 2**62 elements, of which a few are held."""
    dims = data.draw(st.integers(1, 4))
    whole, part, offset, left = [], [], [], 2**62
    for _ in range(dims):
        near = st.sampled_from([1, 2, 7, 2**16 + 1, 2**31 - 1, 2**31, 2**32 + 3, 2**40])
        size = data.draw(near.filter(lambda n, most=left: n <= most))
        left //= size
        held = data.draw(st.integers(1, min(size, 3)))
        whole.append(size)
        part.append(held)
        offset.append(data.draw(st.sampled_from([0, size - held, (size - held) // 2])))
    name = data.draw(st.sampled_from(["uniform_", "normal_", "trunc_normal_"]))
    dtype = data.draw(dtypes)
    box = getattr(init, name)(
        torch.empty(part, dtype=dtype),
        generator=KEY,
        global_shape=tuple(whole),
        global_offset=tuple(offset),
    )
    for row in itertools.product(*map(range, part[:-1])):
        start = 0
        for size, low, at in zip(whole, offset, [*row, 0], strict=True):
            start = start * size + low + at
        run = torch.empty(part[-1], dtype=dtype)
        getattr(init, name)(run, generator=KEY, global_shape=tuple(whole), global_offset=start)
        assert torch.equal(box[row], run)


@pytest.mark.parametrize("name", ["uniform_", "normal_", "trunc_normal_"])
def test_elements_beyond_2_to_the_62_are_refused(name):
    tensor = torch.full((2,), GUARD)
    for shape in ((2**62 + 1,), (2**31, 2**32), (2**100, 0, 2**100, 2**3), (2**63,)):
        kind, text = outcome(
            lambda shape=shape: getattr(init, name)(
                tensor, generator=KEY, global_shape=shape, global_offset=0
            )
        )
        if math.prod(shape):
            assert kind is ValueError
            assert "more than 2**62" in text
        else:
            assert kind is ValueError
            assert "leaves global_shape" in text
        assert (tensor == GUARD).all()


def channels_last(shape):
    return torch.empty(shape).to(memory_format=torch.channels_last)


def blocks(shape):
    """Rows that lie apart, by as_strided."""
    return torch.empty(64).as_strided(shape, (16, 4, 2, 1)[: len(shape)], 3)


def shared(shape):
    return torch.empty(shape).share_memory_()


def from_buffer(shape):
    return torch.frombuffer(bytearray(4 * math.prod(shape) + 1), dtype=torch.float32, offset=1)


def mapped(shape, tmp_path):
    numel = math.prod(shape)
    return torch.from_file(str(tmp_path / "memory"), shared=True, size=numel).view(shape)


@pytest.mark.parametrize("make", [channels_last, blocks, shared, from_buffer, mapped])
@pytest.mark.parametrize("name", sorted(set(RANDOM) - {"sparse_"}))
def test_odd_memory_holds_the_same_values(name, make, tmp_path):
    shape = (3, 2, 2, 2)
    tensor = make(shape, tmp_path) if make is mapped else make(shape).view(shape)
    expected = torch.empty(shape)
    assert filled(name, expected)[0] == filled(name, tensor)[0] == "ok"
    assert torch.equal(tensor, expected)
