"""materialize on sharded models, on real processes: the bits of the unsharded model."""

import copy

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import (
    CPUOffloadPolicy,
    MixedPrecisionPolicy,
    fully_shard,
)
from torch.distributed.tensor import Shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    SequenceParallel,
    parallelize_module,
)

import tritoninit
from tests.distributed.compare import SEED, assert_equal_to_unsharded, reference, whole
from tests.distributed.launch import run
from tests.distributed.models import Net, on_meta, values

# Every rank is given its own piece of the sequence.
PLAN = {
    "norm": SequenceParallel(),
    "up": ColwiseParallel(input_layouts=Shard(1)),
    "down": RowwiseParallel(output_layouts=Shard(1)),
}


def shard_blocks(model, **options):
    for block in model.blocks:
        fully_shard(block, **options)
    fully_shard(model, **options)


def parallelize(model, mesh):
    for block in model.blocks:
        parallelize_module(block, mesh, PLAN)


def fsdp2(model):
    shard_blocks(model, mesh=init_device_mesh("cpu", (dist.get_world_size(),)))


def offloaded(model):
    shard_blocks(model, offload_policy=CPUOffloadPolicy(pin_memory=False))


def mixed_precision(model):
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    shard_blocks(model, mp_policy=policy)


def ignored(model):
    zoo = model.zoo
    shard_blocks(model, ignored_params={zoo.rows, zoo.p_orthogonal_, zoo.narrow})


def dimension_1(model):
    """Where it divides evenly, as FSDP2 asks; else dimension 0."""
    n = dist.get_world_size()

    def place(parameter):
        return Shard(1) if parameter.dim() > 1 and parameter.shape[1] % n == 0 else Shard(0)

    shard_blocks(model, shard_placement_fn=place)


def hsdp(model):
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("replicate", "shard"))
    shard_blocks(model, mesh=mesh)


def tensor_parallel(model):
    parallelize(model, init_device_mesh("cpu", (dist.get_world_size(),)))


def fsdp2_and_tensor_parallel(model):
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))
    parallelize(model, mesh["tp"])
    shard_blocks(model, mesh=mesh["dp"])


LAYOUTS = {
    f.__name__: f
    for f in (
        *(fsdp2, offloaded, mixed_precision, ignored, dimension_1, hsdp),
        *(tensor_parallel, fsdp2_and_tensor_parallel),
    )
}


def check_layout(rank, name):
    model = on_meta(Net)
    LAYOUTS[name](model)
    before = dict(values(model))
    classes = [type(module) for module in model.modules()]
    for index, tensor in enumerate(before.values()):
        tensor.mark = index
    marks = [tensor.mark for tensor in before.values()]
    fired = []
    before["embedding.weight"].register_post_accumulate_grad_hook(fired.append)
    tritoninit.materialize(model, seed=SEED)
    after = values(model)
    assert [type(module) for module in model.modules()] == classes
    assert all(after[key] is before[key] for key in before), "objects are kept"
    assert [tensor.mark for tensor in after.values()] == marks, "attributes are kept"
    assert model.head.weight is model.embedding.weight
    assert not model.zoo.frozen.requires_grad
    assert model.zoo.rows.requires_grad
    assert "zoo.frequency" not in model.state_dict()
    plain = reference()
    assert_equal_to_unsharded(model, plain)
    step(model, fired)
    round_trip(model)


def step(model, fired):
    torch.manual_seed(dist.get_rank())
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
    held = {name: whole(p).detach().clone() for name, p in model.named_parameters()}
    loss = model(torch.randint(50, (2, 5)))
    loss.backward()
    assert fired
    optimizer.step()
    for name in ("embedding.weight", "blocks.1.up.weight", "zoo.chunks"):
        now = whole(model.get_parameter(name)).detach()
        assert bool(now.isfinite().all()), name
        assert not torch.equal(now, held[name]), name


def round_trip(model):
    """The state dict holds the memory that the model trains."""
    state = {name: copy.deepcopy(tensor) for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    model.load_state_dict(state)
    for name, tensor in model.state_dict().items():
        assert torch.equal(whole(tensor), whole(state[name])), name


@pytest.mark.parametrize("name", LAYOUTS)
def test_shards_are_the_slices_of_the_unsharded_model(name):
    run(check_layout, 4, name)


@pytest.mark.parametrize("name", ["fsdp2", "offloaded", "tensor_parallel", "dimension_1"])
def test_two_ranks(name):
    run(check_layout, 2, name)
