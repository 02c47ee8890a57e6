"""Initializers on DTensors: this rank's part is the slice of the unsharded tensor.

The layouts are torch's: what ``distribute_tensor`` and ``redistribute`` give each rank of a fake
process group.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
from torch.distributed.tensor._dtensor_spec import DTensorSpec, ShardOrderEntry, TensorMeta
from torch.distributed.tensor._redistribute import redistribute_local_tensor
from torch.distributed.tensor.placement_types import _StridedShard

from tests.distributed.calls import CALLS, FLOATS, Call
from tests.distributed.fake import as_torch_shards, fake_mesh, fake_rank
from tritoninit import Key, init
from tritoninit.dtensor import coordinate_of, parts_of, sharding_of
from tritoninit.region import row_major

KEY = Key(29).fold_in("dtensor")
R, S, SS = Replicate(), Shard, _StridedShard
PLACEMENTS = [
    (R, R),
    (S(0), R),
    (R, S(-1)),
    (S(0), S(-1)),
    (S(0), S(0)),
    (S(1), S(1)),
    (S(1), S(0)),
    (SS(0, split_factor=2), S(0)),
    (SS(0, split_factor=3), R),
]


def padded(expected):
    """A DTensor laid out alike, in the middle of a larger buffer of NaN; and that buffer."""
    local = expected._local_tensor
    dims = range(local.dim())
    buffer = torch.full([n + 3 + dim for dim, n in enumerate(local.shape)] or [3], math.nan)
    buffer = buffer.to(local.dtype)
    view = buffer[1:2].squeeze(0) if local.dim() == 0 else buffer
    for dim in dims:
        view = view.narrow(dim, 1 + dim, local.shape[dim])
    shape = expected.shape
    tensor = DTensor.from_local(
        *(view, expected.device_mesh, expected.placements),
        run_check=False,
        shape=shape,
        stride=row_major(tuple(shape)),
    )
    assert tensor._local_tensor.data_ptr() == view.data_ptr()
    return tensor, buffer


def check(call, mesh, placements, whole):
    """One rank: the part is the slice, and no memory beside it is written."""
    expected = as_torch_shards(whole, mesh, placements)
    tensor, buffer = padded(expected)
    assert call(tensor, generator=KEY) is tensor
    assert torch.equal(tensor._local_tensor, expected._local_tensor), (call, placements)
    assert int(buffer.isnan().sum()) == buffer.numel() - tensor._local_tensor.numel()
    return tensor


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_the_part_is_the_slice_of_the_whole(call):
    wholes = [call.whole(dtype, generator=KEY) for dtype in call.dtypes]
    dims = len(call.shape)
    for rank in range(6):
        with fake_rank(rank, 6):
            mesh = fake_mesh((3, 2))
            for placements in PLACEMENTS:
                if all(p.is_replicate() or p.dim < dims for p in placements):
                    for whole in wholes:
                        check(call, mesh, placements, whole)


@st.composite
def cases(draw):
    call = draw(st.sampled_from(CALLS))
    shape = [draw(st.integers(1, 11)) for _ in call.shape]
    if call.name == "dirac_":
        shape[0] *= call.args[0] if call.args else 1
    elif call.name in ("uniform_", "normal_", "trunc_normal_", "constant_", "zeros_"):
        shape = draw(st.lists(st.integers(0, 11), max_size=4))
    mesh = draw(st.sampled_from([(1,), (2,), (5,), (2, 2), (4, 2), (2, 3), (2, 1, 3), (2, 2, 2)]))
    dim = st.integers(0, len(shape) - 1) if shape else st.nothing()
    factor = st.integers(1, 4)
    one = st.just(R) | st.builds(Shard, dim) | st.builds(SS, dim, split_factor=factor)
    placements = tuple(draw(one) for _ in mesh)
    rank = draw(st.integers(0, math.prod(mesh) - 1))
    dtype = draw(st.sampled_from([*call.dtypes, torch.float16]))
    return Call(call.name, tuple(shape), call.args), mesh, placements, rank, dtype


@settings(max_examples=80, deadline=None, derandomize=True)
@given(cases())
def test_any_shape_mesh_placement_and_dtype(case):
    call, sizes, placements, rank, dtype = case
    whole = call.whole(dtype, generator=KEY)
    with fake_rank(rank, math.prod(sizes)):
        check(call, fake_mesh(sizes), placements, whole)


@pytest.mark.parametrize("call", [c for c in CALLS if len(c.shape) == 2], ids=str)
@pytest.mark.parametrize(
    "placements", [(S(0), S(1)), (S(1), R), (SS(0, split_factor=2), S(0)), (S(0), S(0))], ids=str
)
def test_init_then_shard_is_shard_then_init_is_every_box_by_its_offset(call, placements):
    whole = call.whole(generator=KEY)
    for rank in range(6):
        with fake_rank(rank, 6):
            mesh = fake_mesh((3, 2))
            init_then_shard = as_torch_shards(whole, mesh, placements)
            shard_then_init = as_torch_shards(torch.full_like(whole, math.nan), mesh, placements)
            call(shard_then_init, generator=KEY)
            at, sharding = coordinate_of(init_then_shard), sharding_of(init_then_shard)
        local = torch.full_like(init_then_shard._local_tensor, math.nan)
        for box in sharding.boxes(call.shape, at):
            view = local
            for dim, (low, size) in enumerate(zip(box.local, box.sizes, strict=True)):
                view = view.narrow(dim, low, size)
            call(view, generator=KEY, global_shape=call.shape, global_offset=box.offset)
        assert torch.equal(init_then_shard._local_tensor, local)
        assert torch.equal(shard_then_init._local_tensor, local)


@pytest.mark.parametrize("call", [c for c in CALLS if len(c.shape) == 2], ids=str)
def test_a_strided_part_of_several_boxes(call):
    """Two mesh ranks interleave three pieces; FSDP2 over a strided parameter holds the like."""
    whole = call.whole(generator=KEY)
    for rank in range(2):
        with fake_rank(rank, 2):
            tensor = check(call, fake_mesh((2,)), (SS(0, split_factor=3),), whole)
            boxes = len(parts_of(tensor))
        assert boxes > 1
        local = torch.full_like(tensor._local_tensor, math.nan)
        for part in sharding_of(tensor).boxes(call.shape, (rank,)):
            rows = local[part.local[0] : part.local[0] + part.sizes[0]]
            call(rows, generator=KEY, global_shape=call.shape, global_offset=part.offset)
        assert torch.equal(tensor._local_tensor, local)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_a_shard_order_of_its_own(dtype):
    """Mesh dimension 1 splits the rows before mesh dimension 0, without a _StridedShard."""
    call = Call("normal_", (13, 7))
    whole = call.whole(dtype, generator=KEY)
    meta = TensorMeta(whole.shape, whole.stride(), dtype)
    for rank in range(6):
        with fake_rank(rank, 6):
            mesh = fake_mesh((3, 2))
            order = (ShardOrderEntry(tensor_dim=0, mesh_dims=(1, 0)),)
            source = DTensorSpec(mesh, (R, R), meta)
            target = DTensorSpec(mesh, (S(0), S(0)), meta, shard_order=order)
            expected = redistribute_local_tensor(whole, source, target)
            tensor = DTensor(torch.full_like(expected, math.nan), target, requires_grad=False)
            call(tensor, generator=KEY)
        assert torch.equal(tensor._local_tensor, expected)


@pytest.mark.skipif(torch.__version__ < "2.12", reason="torch 2.11 cannot flatten Shard(1)")
def test_a_flattened_view_is_read_from_left_to_right():
    """``flatten`` of Shard(1) is a _StridedShard that stands for no order of the mesh."""
    flat = init.normal_(torch.empty(8 * 6), generator=KEY)
    for rank in range(6):
        with fake_rank(rank, 6):
            mesh = fake_mesh((2, 3))
            base = distribute_tensor(torch.empty(8, 6), mesh, (S(0), S(1)), src_data_rank=None)
            view = base.view(-1)
            assert isinstance(view.placements[1], SS)
            init.normal_(view, generator=KEY)
            expected = distribute_tensor(
                flat.view(8, 6), mesh, (S(0), S(1)), src_data_rank=None
            )._local_tensor
        assert torch.equal(base._local_tensor, expected)


@pytest.mark.parametrize("make", ["key", "generator", "default"])
def test_a_part_draws_as_the_whole_does(make):
    """One draw from the generator, whatever the placement, whether the part is empty or not."""

    def generators():
        torch.manual_seed(11)
        own = torch.Generator().manual_seed(3)
        return {"key": (KEY, own), "generator": (own, own), "default": (None, own)}[make]

    for call in CALLS:
        if not call.is_random:
            continue
        generator, own = generators()
        whole = call.whole(generator=generator)
        after = own.get_state(), torch.get_rng_state()
        for rank, placements in ((0, (R,)), (1, (S(0),)), (16, (S(0),)), (2, (S(-1),))):
            with fake_rank(rank, 17):
                mesh = fake_mesh((17,))
                expected = as_torch_shards(whole, mesh, placements)._local_tensor
                tensor = as_torch_shards(torch.full_like(whole, math.nan), mesh, placements)
                generator, own = generators()
                call(tensor, generator=generator)
            assert torch.equal(tensor._local_tensor, expected)
            assert torch.equal(own.get_state(), after[0])
            assert torch.equal(torch.get_rng_state(), after[1])
