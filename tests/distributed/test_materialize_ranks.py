"""materialize on sharded models, on real processes: the bits of the unsharded model."""

import copy

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import (
    CPUOffloadPolicy,
    FSDPModule,
    MixedPrecisionPolicy,
    fully_shard,
)
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    SequenceParallel,
    parallelize_module,
)

import tritoninit
from tests.distributed.launch import run
from tests.distributed.models import Mixture, Net, on_meta, values

SEED = 0
# Every rank is given its own piece of the sequence.
PLAN = {
    "norm": SequenceParallel(),
    "up": ColwiseParallel(input_layouts=Shard(1)),
    "down": RowwiseParallel(output_layouts=Shard(1)),
}


def whole(tensor):
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def assert_equal_to_unsharded(model, reference):
    """Every tensor gathered by torch, and every shard as torch cuts it from the reference."""
    expected = values(reference)
    for name, tensor in values(model).items():
        name = name.replace("_checkpoint_wrapped_module.", "").replace("_orig_mod.", "")
        want = expected.pop(name)
        assert tensor.dtype == want.dtype, name
        assert torch.equal(whole(tensor).detach().cpu(), want), name
        if isinstance(tensor, DTensor):
            placements = tensor.placements
            if all(type(p) in (Shard, Replicate) for p in placements):
                mesh = tensor.device_mesh
                cut = distribute_tensor(want.detach(), mesh, placements, src_data_rank=None)
                assert torch.equal(tensor._local_tensor, cut._local_tensor), name
    assert not expected


def reference(build=Net, **options):
    model = on_meta(build)
    tritoninit.materialize(model, device="cpu", seed=SEED, **options)
    return model


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
    fired = []
    before["embedding.weight"].register_post_accumulate_grad_hook(fired.append)
    tritoninit.materialize(model, seed=SEED)
    after = values(model)
    assert [type(module) for module in model.modules()] == classes
    assert all(after[key] is before[key] for key in before), "objects are kept"
    assert all(tensor.mark is not None for tensor in after.values())
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


def test_two_ranks():
    run(check_layout, 2, "fsdp2")


def materialized(build, shard, **options):
    model = on_meta(build)
    shard(model)
    tritoninit.materialize(model, seed=SEED, **options)
    return model


def check_others(rank):
    check_experts()
    check_stages(rank)
    check_part_materialized()
    check_wrappers()
    check_init_fn()


def check_experts():
    """Expert parallel on dimension 0 over all ranks, the rest by FSDP2 over pairs."""
    ep = init_device_mesh("cpu", (4,), mesh_dim_names=("ep",))
    dp = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "cp"))["dp"]

    def shard(model):
        experts = model.experts
        for name, parameter in list(experts.named_parameters()):
            cut = distribute_tensor(parameter, ep, [Shard(0)])
            experts.register_parameter(name, nn.Parameter(cut))
        fully_shard(model, mesh=dp, ignored_params=set(experts.parameters()))

    assert_equal_to_unsharded(materialized(Mixture, shard), reference(Mixture))


class Stage(nn.Module):
    """Some layers of a Net, under their names in it."""

    def __init__(self, net, first):
        super().__init__()
        if first:
            self.embedding, self.head = net.embedding, net.head  # tied: of one stage
            self.blocks = nn.ModuleDict({"0": net.blocks[0]})
        else:
            self.blocks = nn.ModuleDict({"1": net.blocks[1]})
            self.zoo = net.zoo


def check_stages(rank):
    """Two stages of two ranks; then stages of three ranks, and of one alone."""
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("pp", "dp"))
    check_stage(mesh["dp"], first=rank < 2)
    both = DeviceMesh("cpu", [0, 1, 2]), DeviceMesh("cpu", [3])
    check_stage(both[rank == 3], first=rank < 3)
    # A rank that does not shard at all asks nobody.
    stage = Stage(on_meta(Net), first=rank < 3)
    if rank < 3:
        fully_shard(stage, mesh=both[0])
    tritoninit.materialize(stage, device="cpu", seed=SEED)
    assert_is_stage(stage)


def check_stage(mesh, first):
    stage = Stage(on_meta(Net), first)
    fully_shard(stage, mesh=mesh)
    tritoninit.materialize(stage, seed=SEED)
    assert_is_stage(stage)


def assert_is_stage(stage):
    expected = values(reference())
    for name, tensor in values(stage).items():
        assert torch.equal(whole(tensor), expected[name]), name


def check_part_materialized():
    """One block has values already, which stay."""
    model = on_meta(Net)
    model.blocks[0].to_empty(device="cpu")
    for parameter in model.blocks[0].parameters():
        nn.init.constant_(parameter, 0.125)
    mesh = init_device_mesh("cpu", (4,))
    for block in model.blocks:
        fully_shard(block, mesh=mesh)
    tritoninit.materialize(model, seed=SEED)
    expected = values(reference())
    for name, tensor in values(model).items():
        want = torch.tensor(0.125) if name.startswith("blocks.0.") else expected[name]
        assert torch.equal(whole(tensor), want.expand(tensor.shape)), name


def check_wrappers():
    """Names are those of the plain model."""
    model = on_meta(Net)
    model.blocks[0] = checkpoint_wrapper(model.blocks[0])
    model.blocks[1].up = torch.compile(model.blocks[1].up, backend="eager")
    model.zoo = torch.compile(checkpoint_wrapper(model.zoo), backend="eager")
    fsdp2(model)
    made = tritoninit.materialize(model, seed=SEED)
    assert [fill.name for fill in made.fills] == [fill.name for fill in reference_plan().fills]
    assert_equal_to_unsharded(model, reference())


def reference_plan():
    return tritoninit.plan(on_meta(Net), seed=SEED)


def fill_module(module):
    for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
        if tensor.dim() > 1:
            nn.init.xavier_normal_(tensor)
        else:
            nn.init.uniform_(tensor, 0.5, 1)


def check_init_fn():
    seen = []

    def init_fn(module):
        seen.append(type(module))
        fill_module(module)

    model = materialized(Net, fsdp2, init_fn=init_fn)
    assert not any(issubclass(cls, FSDPModule) for cls in seen)
    assert_equal_to_unsharded(model, reference(init_fn=fill_module))


def test_experts_stages_wrappers_and_init_fn():
    run(check_others, 4, timeout=20, group_timeout=8)
