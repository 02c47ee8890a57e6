"""Meshes of thousands of ranks in a fake process group, and in plain integers."""

import math
import random

import pytest
import torch
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Replicate, Shard
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.distributed.tensor.placement_types import _StridedShard

from tests.distributed.calls import Call
from tests.distributed.fake import as_torch_shards, fake_mesh, fake_rank
from tritoninit import Key, init
from tritoninit.sharding import Sharding, Split

KEY = Key(37).fold_in("thousands")
R, S = Replicate(), Shard
BIG = [
    Call("normal_", (9001, 24)),
    Call("uniform_", (4096, 40)),
    Call("trunc_normal_", (700, 33)),
    Call("kaiming_uniform_", (4105, 16), (5**0.5,)),
    Call("xavier_normal_", (5000, 17)),
    Call("eye_", (4500, 600)),
    Call("dirac_", (1026, 9, 3), (2,)),
    Call("sparse_", (4100, 24), (0.3,)),
    Call("orthogonal_", (24, 1500)),
    Call("orthogonal_", (1501, 16)),
    Call("constant_", (4097, 9), (0.5,)),
]
MESHES = [
    ((512, 8), (_StridedShard(0, split_factor=8), S(0))),
    ((512, 8), (S(0), S(1))),
    ((16, 32, 8), (R, _StridedShard(0, split_factor=8), S(0))),
    ((8, 64, 8), (S(0), S(0), S(1))),
]


def sampled(ranks, count=8):
    """The first rank, the last, and some between."""
    return [0, 1, ranks - 1, *random.Random(41).sample(range(2, ranks - 1), count - 3)]


@pytest.mark.parametrize(("sizes", "placements"), MESHES, ids=str)
def test_sampled_ranks_of_4096_hold_slices_of_the_global_tensor(sizes, placements):
    wholes = [(call, call.whole(generator=KEY)) for call in BIG]
    held = 0
    for rank in sampled(math.prod(sizes)):
        with fake_rank(rank, math.prod(sizes)):
            mesh = fake_mesh(sizes)
            for call, whole in wholes:
                expected = as_torch_shards(whole, mesh, placements)
                tensor = as_torch_shards(torch.full_like(whole, math.nan), mesh, placements)
                call(tensor, generator=KEY)
                assert torch.equal(tensor._local_tensor, expected._local_tensor), (rank, call)
                held += tensor._local_tensor.numel()
    assert held > 1000


@pytest.mark.parametrize(("dp", "tp"), [(512, 8), (96, 40)])
def test_sampled_ranks_of_fsdp_over_tensor_parallelism(dp, tp):
    """torch's own calls place a meta model's parameters; uneven sizes."""
    wholes = [init.normal_(torch.empty(5003, 50), generator=KEY)]
    wholes.append(init.kaiming_uniform_(torch.empty(520, 5003), generator=KEY))
    for rank in sampled(dp * tp, 6):
        with fake_rank(rank, dp * tp):
            mesh = fake_mesh((dp, tp))
            with torch.device("meta"):
                model = nn.Sequential(nn.Linear(50, 5003, False), nn.Linear(5003, 520, False))
            styles = {"0": ColwiseParallel(), "1": RowwiseParallel()}
            parallelize_module(model, mesh["m1"], styles, src_data_rank=None)
            fully_shard(model, mesh=mesh["m0"])
            model.to_empty(device="cpu")
            init.normal_(model[0].weight, generator=KEY)
            init.kaiming_uniform_(model[1].weight, generator=KEY)
            for whole, layer in zip(wholes, model, strict=True):
                local = layer.weight._local_tensor
                expected = as_torch_shards(whole, mesh, layer.weight.placements)._local_tensor
                assert torch.equal(local.flatten(), expected.flatten())


@pytest.mark.parametrize(
    ("shape", "mesh", "placements"),
    [
        ((4100, 3), (512, 8), (Split(0, 8), Split(0))),
        ((8192, 2), (16, 32, 8), (Split(0), None, Split(0))),
        ((70, 70), (2, 32, 64), (None, Split(0), Split(1))),
    ],
    ids=str,
)
def test_all_4096_ranks_reassemble_the_tensor_without_a_process_group(shape, mesh, placements):
    sharding = Sharding(mesh, placements)
    assert sharding.ranks == 4096
    whole = init.normal_(torch.empty(shape), generator=KEY)
    result = torch.full(shape, math.nan)
    written = 0
    for rank in range(sharding.ranks):
        at = sharding.coordinate(rank)
        if sharding.is_primary(at):
            for box in sharding.boxes(shape, at):
                part = torch.empty(box.sizes)
                init.normal_(part, generator=KEY, global_shape=shape, global_offset=box.offset)
                rows, columns = (slice(o, o + n) for o, n in zip(*box[1:], strict=True))
                result[rows, columns] = part
                written += part.numel()
    assert written == whole.numel()
    assert torch.equal(result, whole)


@pytest.mark.parametrize("call", [c for c in BIG if c.name != "eye_"], ids=str)
def test_all_ranks_of_a_three_dimensional_mesh_reassemble_the_tensor(call):
    """24 ranks that interleave rows of an uneven size and split columns."""
    call = Call(call.name, (46 if call.name == "dirac_" else 47, *call.shape[1:]), call.args)
    whole = call.whole(generator=KEY)
    result = torch.full_like(whole, math.nan)
    index = torch.arange(whole.numel()).view(call.shape)
    for rank in range(24):
        with fake_rank(rank, 24):
            mesh = fake_mesh((4, 2, 3))
            placements = (_StridedShard(0, split_factor=3), S(1), S(0))
            tensor = as_torch_shards(torch.full_like(whole, math.nan), mesh, placements)
            places = as_torch_shards(index, mesh, placements)._local_tensor
            call(tensor, generator=KEY)
            result.view(-1)[places.flatten()] = tensor._local_tensor.flatten()
    assert torch.equal(result, whole)
