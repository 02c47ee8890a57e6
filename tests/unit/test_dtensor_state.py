"""What a call on a DTensor does beside the values: versions, modes, refusals."""

import math

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.placement_types import _StridedShard

from tests.distributed.calls import CALLS, Call
from tests.distributed.fake import fake_mesh, fake_rank
from tritoninit import Key, init

KEY = Key(31)
R, S = Replicate(), Shard
ROWS = (S(0),)
CONSTANTS = ("constant_", "ones_", "zeros_")
EACH = list({call.name: call for call in CALLS}.values())


@pytest.fixture
def mesh():
    with fake_rank(1, 4):
        yield fake_mesh((4,))


def shard(mesh, shape, placements=ROWS, dtype=torch.float32, value=7.0):
    whole = torch.full(shape, value).to(dtype)
    return distribute_tensor(whole, mesh, placements, src_data_rank=None)


def refused(call, tensor, **kwargs):
    """The error of a call that draws and writes nothing."""
    local = tensor._local_tensor
    before = None if local.is_meta else local.clone()
    generator = torch.Generator().manual_seed(1)
    states = torch.get_rng_state(), generator.get_state()
    versions = tensor._version, local._version
    errors = []
    for source in [None, generator] if call.is_random else [None]:
        with pytest.raises(Exception) as raised:  # noqa: PT011 - checked by the caller
            call(tensor, generator=source, **kwargs)
        errors.append((type(raised.value), str(raised.value)))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert torch.equal(generator.get_state(), states[1])
    assert (tensor._version, local._version) == versions
    assert before is None or torch.equal(local, before)
    assert errors[0] == errors[-1]
    return raised.value


@pytest.mark.parametrize("call", EACH, ids=str)
def test_the_versions_are_bumped(mesh, call):
    tensor = shard(mesh, call.shape)
    local = tensor._local_tensor
    versions = tensor._version, local._version
    call(tensor)
    assert tensor._version > versions[0]
    assert local._version > versions[1]


@pytest.mark.parametrize("call", EACH, ids=str)
def test_what_autograd_saved_is_protected(mesh, call):
    weight = shard(mesh, call.shape).requires_grad_()
    loss = (weight * weight.detach()).sum()
    call(weight.detach())
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("mode", ["grad", "no_grad", "inference"])
@pytest.mark.parametrize("call", EACH, ids=str)
def test_leaf_parameters_in_every_grad_mode(mesh, call, mode):
    parameter = torch.nn.Parameter(shard(mesh, call.shape))
    expected = shard(mesh, call.shape)
    expected._local_tensor.copy_(call.whole(generator=KEY).chunk(4)[1])
    guards = {
        "grad": torch.enable_grad,
        "no_grad": torch.no_grad,
        "inference": torch.inference_mode,
    }
    with guards[mode]():
        assert call(parameter, generator=KEY) is parameter
    assert parameter.requires_grad
    assert parameter.is_leaf
    assert parameter.grad_fn is None
    assert torch.equal(parameter._local_tensor, expected._local_tensor)


@pytest.mark.parametrize("call", EACH, ids=str)
def test_a_tensor_made_in_inference_mode(mesh, call):
    with torch.inference_mode():
        tensor = shard(mesh, call.shape)
        call(tensor, generator=KEY)
        assert torch.equal(tensor._local_tensor, call.whole(generator=KEY).chunk(4)[1])
        tensor._local_tensor.fill_(7)
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
        call(tensor, generator=KEY)
    with torch.inference_mode():
        assert (tensor._local_tensor == 7).all()


@pytest.mark.parametrize("call", EACH, ids=str)
def test_a_rank_outside_the_mesh_writes_nothing_and_stays_in_step(call):
    torch.manual_seed(5)
    call.whole()
    after = torch.get_rng_state()
    with fake_rank(3, 4):
        outside = DeviceMesh("cpu", [0, 1])
        assert outside.get_coordinate() is None
        tensor = distribute_tensor(torch.ones(call.shape), outside, (S(0),), src_data_rank=None)
        torch.manual_seed(5)
        assert call(tensor) is tensor
    assert torch.equal(torch.get_rng_state(), after)
    assert tensor._local_tensor.numel() == 0


@pytest.mark.parametrize("call", EACH, ids=str)
def test_meta_and_fake_tensors_are_returned_as_they_are(mesh, call):
    with FakeTensorMode(allow_non_fake_inputs=True):
        local = torch.empty(call.shape)
        fake = DTensor.from_local(local, mesh, (R,), run_check=False)
    state = torch.get_rng_state()
    generator = torch.Generator().manual_seed(5)
    own = generator.get_state()
    meta = distribute_tensor(torch.empty(call.shape, device="meta"), mesh, (S(0),))
    for tensor in (meta, torch.nn.Parameter(meta), fake):
        assert call(tensor) is tensor
        assert call(tensor, generator=generator) is tensor
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(generator.get_state(), own)


@pytest.mark.parametrize("call", EACH, ids=str)
def test_a_pending_partial_is_refused(mesh, call):
    for kind in (Partial(), Partial("avg")):
        tensor = DTensor.from_local(torch.ones(call.shape), mesh, (kind,), run_check=False)
        error = refused(call, tensor)
        assert type(error) is ValueError
        assert "pending Partial has no values" in str(error)


@pytest.mark.parametrize("call", EACH, ids=str)
def test_a_pending_partial_is_refused_on_meta_as_well(mesh, call):
    local = torch.ones(call.shape, device="meta")
    tensor = DTensor.from_local(local, mesh, (Partial(),), run_check=False)
    with pytest.raises(ValueError, match="pending Partial has no values"):
        call(tensor)


@pytest.mark.parametrize("call", EACH, ids=str)
def test_a_local_tensor_of_another_size_is_refused(mesh, call):
    shape = (8, *call.shape[1:])
    if call.name == "dirac_":
        shape = (12, *call.shape[1:])
    for rows in (0, 1, 5):
        local = torch.ones(rows, *shape[1:])
        size, stride = torch.Size(shape), torch.empty(shape).stride()
        tensor = DTensor.from_local(
            local, mesh, (S(0),), run_check=False, shape=size, stride=stride
        )
        error = refused(call, tensor)
        assert type(error) is ValueError
        assert f"local tensor has shape {tuple(local.shape)}" in str(error)
        assert "at mesh coordinate (1,)" in str(error)


def test_an_uneven_layout_from_left_to_right_is_refused():
    """``distribute_tensor`` reads it otherwise than FSDP2 and ``redistribute``; rank 4 of 6."""
    placements = (_StridedShard(0, split_factor=2), S(0))
    with fake_rank(4, 6):
        tensor = shard(fake_mesh((3, 2)), (7, 2), placements)
        assert tensor._local_tensor.shape == (1, 2)
        error = refused(Call("normal_", (7, 2)), tensor)
    assert "part of shape (0, 2)" in str(error)


@pytest.mark.parametrize("call", EACH, ids=str)
@pytest.mark.parametrize("given", [("global_shape",), ("global_offset",), None], ids=str)
def test_a_dtensor_takes_no_global_shape_or_offset(mesh, call, given):
    box = {"global_shape": call.shape, "global_offset": (0,) * len(call.shape)}
    box = {name: box[name] for name in given or box}
    for device in ("cpu", "meta"):
        whole = torch.ones(call.shape, device=device)
        tensor = distribute_tensor(whole, mesh, (S(0),), src_data_rank=None)
        error = refused(call, tensor, **box)
        assert type(error) is ValueError
        assert "a DTensor knows its place" in str(error)


@pytest.mark.parametrize("call", EACH, ids=str)
def test_local_memory_that_overlaps_itself_is_refused_as_a_plain_tensors_is(mesh, call):
    local = torch.full((1,) * len(call.shape), 7.0).expand(call.shape)
    tensor = DTensor.from_local(local, mesh, (R,), run_check=False)
    if call.name in CONSTANTS:  # torch's own fill_ accepts it
        call(tensor)
        assert torch.equal(local, call.whole())
        return
    error = refused(call, tensor)
    with pytest.raises(RuntimeError) as plain:
        call(local)
    assert (type(error), str(error)) == (RuntimeError, str(plain.value))


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.float8_e4m3fn], ids=str)
@pytest.mark.parametrize("call", EACH, ids=str)
def test_dtypes_that_are_refused_are_those_of_plain_tensors(mesh, call, dtype):
    tensor = shard(mesh, call.shape, dtype=dtype, value=1.0)
    plain = torch.ones(call.shape).to(dtype)
    if call.is_random:
        with pytest.raises(Exception) as raised:  # noqa: PT011 - compared
            call(plain)
        with pytest.raises(type(raised.value)) as ours:
            call(tensor)
        assert str(ours.value) == str(raised.value)
    else:
        call(plain)
        call(tensor)
        expected = plain.chunk(4)[1]
        assert torch.equal(tensor._local_tensor.float(), expected.float())


@pytest.mark.parametrize("call", [Call("eye_", (8,)), Call("sparse_", (4, 4, 4), (0.5,))], ids=str)
def test_dimensions_are_counted_on_the_global_shape(mesh, call):
    error = refused(call, shard(mesh, call.shape))
    assert str(error) == "Only tensors with 2 dimensions are supported"


def test_groups_are_counted_on_the_global_shape(mesh):
    tensor = shard(mesh, (8, 3, 3))
    with pytest.raises(ValueError, match="dim 0 must be divisible by groups"):
        init.dirac_(tensor, 3)
    init.dirac_(tensor, 8)
    assert torch.equal(tensor._local_tensor, init.dirac_(torch.empty(8, 3, 3), 8).chunk(4)[1])


def test_an_empty_part_of_any_sizes_is_accepted(mesh):
    """FSDP2's empty parts have sizes of their own."""
    tensor = DTensor.from_local(
        *(torch.empty(0), mesh, (S(0),)), run_check=False, shape=torch.Size((1, 5)), stride=(5, 1)
    )
    for call in (Call("normal_", (1, 5)), Call("eye_", (1, 5)), Call("zeros_", (1, 5))):
        assert call(tensor) is tensor
    assert math.prod(tensor._local_tensor.shape) == 0


@pytest.mark.parametrize("name", ["normal_", "constant_", "zeros_"])
def test_a_slice_of_a_sharded_dimension_is_refused_since_its_values_would_be_lost(mesh, name):
    call = Call(name, (2, 3), (0.5,) if name == "constant_" else ())
    parameter = torch.nn.Parameter(shard(mesh, (8, 3)))
    with torch.no_grad():
        for view in (parameter[:2], parameter[1], parameter[3:5, :2]):
            error = refused(call, view)
            assert type(error) is RuntimeError
            assert "values written into it would be lost" in str(error)
    assert (parameter._local_tensor == 7).all()


def test_views_that_share_the_parts_memory_are_written(mesh):
    parameter = torch.nn.Parameter(shard(mesh, (8, 3)))
    local = parameter._local_tensor
    with torch.no_grad():
        init.normal_(parameter.t(), generator=KEY)
        whole = init.normal_(torch.empty(3, 8), generator=KEY).t()
        assert torch.equal(local, whole[2:4])
        init.normal_(parameter[:, :2], generator=KEY)
        assert torch.equal(local[:, :2], init.normal_(torch.empty(8, 2), generator=KEY)[2:4])
        assert torch.equal(local[:, 2], whole[2:4, 2])
