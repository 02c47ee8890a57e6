"""Experts, pipeline stages, models that are sharded or wrapped in part, init functions."""

import torch
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import Shard, distribute_tensor

import tritoninit
from tests.distributed.compare import SEED, assert_equal_to_unsharded, reference, whole
from tests.distributed.launch import run
from tests.distributed.models import Mixture, Net, on_meta, values


def fsdp2(model):
    mesh = init_device_mesh("cpu", (4,))
    for block in model.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)


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
    run(check_others, 4)
