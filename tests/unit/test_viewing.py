"""Views against boxes, beside torch's own indexing."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from tritoninit.plan import View
from tritoninit.viewing import cut, slicing_of


def view_of(tensor):
    return View(tuple(tensor.shape), tuple(tensor.stride()), tensor.storage_offset())


@st.composite
def dense_tensors(draw):
    """Distinct numbers in memory order, with dimensions in any order."""
    dims = draw(st.integers(1, 4))
    shape = [draw(st.integers(1, 5)) for _ in range(dims)]
    order = draw(st.permutations(range(dims)))
    count = int(torch.tensor(shape).prod())
    return torch.arange(count).view(shape).permute(order)


@st.composite
def sliced(draw):
    """A tensor and a view of it: slices with steps, integers, transposes, new dimensions."""
    tensor = draw(dense_tensors())
    view = tensor
    for dim in reversed(range(tensor.dim())):
        size = tensor.shape[dim]
        if draw(st.booleans()):
            start = draw(st.integers(0, size - 1))
            stop = draw(st.integers(start + 1, size))
            step = draw(st.integers(1, 3))
            view = view[(slice(None),) * dim + (slice(start, stop, step),)]
        elif draw(st.integers(0, 3)) == 0:
            view = view.select(dim, draw(st.integers(0, size - 1)))
    view = view.permute(draw(st.permutations(range(view.dim()))))
    if draw(st.booleans()):
        view = view.unsqueeze(draw(st.integers(0, view.dim())))
    return tensor, view


@st.composite
def boxes(draw, tensor):
    offset, sizes = [], []
    for size in tensor.shape:
        low = draw(st.integers(0, size - 1))
        offset.append(low)
        sizes.append(draw(st.integers(1, size - low)))
    return tuple(offset), tuple(sizes)


@given(st.data())
def test_a_cut_is_what_the_view_and_the_box_share(data):
    tensor, view = data.draw(sliced())
    offset, sizes = data.draw(boxes(tensor))
    box = tensor
    for dim, (low, size) in enumerate(zip(offset, sizes, strict=True)):
        box = box.narrow(dim, low, size)
    memory = box.clone(memory_format=torch.contiguous_format)
    slicing = slicing_of(view_of(view), tuple(tensor.shape), tuple(tensor.stride()))
    assert slicing is not None
    found = cut(slicing, tuple(view.shape), offset, sizes, tuple(memory.stride()))
    shared = set(view.flatten().tolist()) & set(box.flatten().tolist())
    if found is None:
        assert not shared
        return
    at = sum(s * n for s, n in zip(found.start, memory.stride(), strict=True))
    held = memory.as_strided(found.sizes, found.strides, at)
    want = view
    for dim, (low, size) in enumerate(zip(found.offset, found.sizes, strict=True)):
        want = want.narrow(dim, low, size)
    assert torch.equal(held, want)
    assert set(held.flatten().tolist()) == shared


@given(dense_tensors())
def test_all_of_a_tensor_is_a_slicing(tensor):
    slicing = slicing_of(view_of(tensor), tuple(tensor.shape), tuple(tensor.stride()))
    assert slicing is not None
    assert slicing.start == (0,) * tensor.dim()


def test_views_across_dimensions_are_none():
    tensor = torch.empty(4, 6)
    for view in (
        tensor.diagonal(),
        tensor.view(24),
        tensor.view(4, 2, 3),
        tensor.as_strided((3, 2), (6, 6), 0),  # overlaps
        tensor.as_strided((7,), (1,), 0),  # ends in the second row
        tensor.as_strided((3,), (4,), 0),
    ):
        assert slicing_of(view_of(view), (4, 6), (6, 1)) is None


def test_an_empty_tensor_has_none():
    assert slicing_of(View((0, 3), (3, 1), 0), (0, 3), (3, 1)) is None
