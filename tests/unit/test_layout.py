"""From tensors to regions."""

import pytest
import torch

from tritoninit.layout import as_shape, check_writable, place, storage_view
from tritoninit.region import Region


def test_a_whole_tensor_is_its_own_global_tensor():
    tensor = torch.empty(3, 4).t()
    region, shape = place(tensor, None, None)
    assert region == Region((4, 3), (0, 0), (4, 3), (1, 4))
    assert shape == (4, 3)


def test_a_box_keeps_the_tensors_strides():
    region, shape = place(torch.empty(8, 8)[:2, ::2], (6, 4), (4, 0))
    assert region == Region((6, 4), (4, 0), (2, 4), (8, 2))
    assert shape == (6, 4)


def test_a_flat_run_lies_in_the_flattened_tensor_and_keeps_its_shape_for_the_fans():
    region, shape = place(torch.empty(10)[::2], (6, 4), 7)
    assert region == Region((24,), (7,), (5,), (2,))
    assert shape == (6, 4)


def test_an_empty_run_may_lie_at_the_end():
    assert place(torch.empty(0), (6, 4), 24).region.numel == 0


@pytest.mark.parametrize(
    "tensor",
    [
        torch.empty(5, 7),
        torch.empty(5, 7).t(),
        torch.empty(50)[3:].as_strided((4, 3), (9, 2), 5),
        torch.empty(()),
        torch.empty(0, 4),
        torch.empty(3, 1).expand(3, 1),
    ],
)
def test_the_storage_view_begins_at_the_first_element_and_ends_at_the_last(tensor):
    region = place(tensor, None, None).region
    view = storage_view(tensor, region)
    assert view.shape == (region.extent,)
    if tensor.numel():
        view[0], view[-1] = 1.0, 2.0
        assert tensor.flatten()[0] == (1 if region.extent > 1 else 2)
        assert tensor[(-1,) * tensor.dim()] == 2
        assert view.data_ptr() == tensor.data_ptr()


def test_the_storage_view_is_detached():
    tensor = torch.empty(3, requires_grad=True)
    assert not storage_view(tensor, place(tensor, None, None).region).requires_grad


@pytest.mark.parametrize("value", [torch.Size([2, 3]), [2, 3], range(2, 4), (True + 1, 3)])
def test_a_shape_is_any_iterable_of_integers(value):
    assert as_shape("global_shape", value) == (2, 3)


@pytest.mark.parametrize("value", [3, None, "ab", (1.0, 2), (None,), ("a",)])
def test_what_is_not_a_shape_is_named(value):
    with pytest.raises(TypeError, match="global_offset must be a tuple of ints, got"):
        as_shape("global_offset", value)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.empty(3, 4),
        torch.empty(3, 1).expand(3, 1),
        torch.empty(0, 1).expand(0, 4),
        torch.empty(12)[::3],
        torch.empty(3, 4).as_subclass(type("Plain", (torch.Tensor,), {})),
    ],
)
def test_ordinary_tensors_are_writable(tensor):
    check_writable(tensor)


def test_sharded_tensors_are_refused(tmp_path):
    from torch.distributed import destroy_process_group, init_process_group
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        mesh = init_device_mesh("cpu", (1,))
        tensor = distribute_tensor(torch.full((4, 4), 7.0), mesh, [Shard(0)])
        with pytest.raises(TypeError, match="tensor is a DTensor, whose __torch_dispatch__"):
            check_writable(tensor)
    finally:
        destroy_process_group()
