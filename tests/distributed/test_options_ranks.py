"""Sharded models on two ranks: skip and dtype, and models recorded before they are sharded."""

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    SequenceParallel,
    parallelize_module,
)

import tritoninit
from tests.distributed.compare import SEED, assert_equal_to_unsharded, reference, whole
from tests.distributed.launch import run
from tests.distributed.models import WIDTH, Net, on_meta, values
from tests.distributed.test_materialize_ranks import LAYOUTS, round_trip, step

SKIPPED = ["zoo", "head.weight", "blocks.1.up.bias"]


def check_skip(rank, layout):
    model = on_meta(Net)
    LAYOUTS[layout](model)
    before = dict(values(model))
    plan = tritoninit.materialize(model, seed=SEED, skip=SKIPPED)
    plain = values(reference())
    for name, tensor in values(model).items():
        skipped = name.startswith("zoo.") or name in (*SKIPPED, "embedding.weight")
        assert tensor is before[name], name
        assert tensor.is_meta == skipped, name
        assert skipped or torch.equal(whole(tensor), plain[name]), name
    assert {left.name for left in plan.left if not left.name.startswith("zoo.")} == {
        "embedding.weight",
        "blocks.1.up.bias",
    }
    tritoninit.materialize(model, seed=SEED)
    assert_equal_to_unsharded(model, reference())
    fired = []
    model.embedding.weight.register_post_accumulate_grad_hook(fired.append)
    step(model, fired)


def check_dtype(rank, layout):
    model = on_meta(Net)
    LAYOUTS[layout](model)
    tritoninit.materialize(model, seed=SEED, dtype=torch.bfloat16)
    kinds = {name: tensor.dtype for name, tensor in values(model).items()}
    assert kinds.pop("zoo.position") == kinds.pop("zoo.frequency") == torch.float32
    assert set(kinds.values()) == {torch.bfloat16}
    assert_equal_to_unsharded(model, reference(dtype=torch.bfloat16))
    single = values(reference())
    for name in ("blocks.0.up.weight", "zoo.chained", "zoo.rows", "zoo.p_normal_"):
        rounded = single[name].to(torch.bfloat16)
        assert torch.equal(whole(values(model)[name]), rounded), name
    fired = []
    model.embedding.weight.register_post_accumulate_grad_hook(fired.append)
    step(model, fired)
    assert model.blocks[0].up.weight.grad.dtype == torch.bfloat16
    round_trip(model)


@pytest.mark.parametrize("layout", ["fsdp2", "tensor_parallel", "offloaded"])
@pytest.mark.parametrize("check", [check_skip, check_dtype])
def test_options(check, layout):
    run(check, 2, layout)


class Block(nn.Module):
    """What constructors alone compute: attention, norms by weight, scales."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, 4)
        self.norm = nn.LayerNorm(WIDTH)
        self.up = nn.Linear(WIDTH, 2 * WIDTH)
        self.down = nn.Linear(2 * WIDTH, WIDTH, bias=False)
        self.scale = nn.Parameter(torch.randn(WIDTH) * 0.1 + 1)
        nn.init.orthogonal_(self.down.weight)
        nn.init.trunc_normal_(self.up.bias, std=0.02)
        with torch.no_grad():
            self.up.weight[1:3].zero_()
            self.down.weight.mul_(0.5)


class Recorded(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(50, WIDTH, padding_idx=3)
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.normed = nn.utils.parametrizations.weight_norm(nn.Linear(WIDTH, WIDTH))
        self.register_buffer("angles", torch.arange(5.0) / 7, persistent=False)


def recorded():
    with tritoninit.record():
        return Recorded()


def parallel(model, mesh):
    plan = {
        "norm": SequenceParallel(),
        "up": ColwiseParallel(input_layouts=Shard(1)),
        "down": RowwiseParallel(output_layouts=Shard(1)),
    }
    parallelize_module(model.embedding, mesh, RowwiseParallel())
    for block in model.blocks:
        parallelize_module(block, mesh, plan)


def tensor_parallel(model):
    parallel(model, init_device_mesh("cpu", (dist.get_world_size(),)))


def fsdp2(model):
    for block in model.blocks:
        fully_shard(block)
    fully_shard(model)


def both(model):
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))
    parallel(model, mesh["tp"])
    for block in model.blocks:
        fully_shard(block, mesh=mesh["dp"])
    fully_shard(model, mesh=mesh["dp"])


def check_recorded(rank, shard):
    plain = recorded()
    tritoninit.materialize(plain, device="cpu", seed=SEED)
    for options in ({}, {"dtype": torch.bfloat16}):
        model = recorded()
        globals()[shard](model)
        tritoninit.materialize(model, seed=SEED, **options)
        assert sum(isinstance(t, DTensor) for t in values(model).values()) >= 9
        if not options:
            assert_equal_to_unsharded(model, plain)
            continue
        for name, tensor in values(plain).items():
            expected = tensor if name == "angles" else tensor.to(torch.bfloat16)
            held = whole(values(model)[name])
            if name.endswith("down.weight"):  # orthogonal: a product of rounded values
                assert torch.allclose(held.float(), expected.float(), atol=2**-9), name
            else:
                assert torch.equal(held, expected), name


@pytest.mark.parametrize(("shard", "ranks"), [("tensor_parallel", 2), ("fsdp2", 2), ("both", 4)])
def test_a_model_recorded_and_then_sharded(shard, ranks):
    run(check_recorded, ranks, shard)
