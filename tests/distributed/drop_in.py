"""A model that uses every initializer, and the ways in which torch shards it."""

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, fully_shard
from torch.distributed.tensor import Shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    SequenceParallel,
    parallelize_module,
)

from tritoninit import init

WIDTH, HIDDEN = 10, 31  # not multiples of 4 or 6, so that parts are uneven


class Mixer(nn.Module):
    """Linear layers for tensor parallelism, a convolution, and parameters of many shapes."""

    def __init__(self):
        super().__init__()
        self.up = nn.Linear(WIDTH, HIDDEN)
        self.norm = nn.LayerNorm(WIDTH)
        self.down = nn.Linear(HIDDEN, WIDTH)
        self.conv = nn.Conv1d(6, 9, 3)
        self.gate = nn.Conv2d(4, 8, 3, bias=False)
        shapes = {"wide": (5, 17), "tall": (17, 5), "square": (8, 8), "few": (1, 9)}
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape)))
        for name in ("identity", "thin", "cut", "narrow", "plain"):
            self.register_parameter(name, nn.Parameter(torch.empty(11, 7)))
        self.bf16 = nn.Parameter(torch.empty(13, 6, dtype=torch.bfloat16))
        self.f64 = nn.Parameter(torch.empty(13, 6, dtype=torch.float64))


@torch.no_grad()
def init_weights(model):
    """Every initializer, drop-in; torch.manual_seed governs it."""
    init.xavier_uniform_(model.up.weight, gain=2.0)
    init.constant_(model.up.bias, 0.25)
    init.ones_(model.norm.weight)
    init.zeros_(model.norm.bias)
    init.kaiming_normal_(model.down.weight, mode="fan_out")
    init.uniform_(model.down.bias, -1, 1)
    init.dirac_(model.conv.weight, 3)
    init.normal_(model.conv.bias)
    init.kaiming_uniform_(model.gate.weight, a=5**0.5)
    for weight in (model.wide, model.tall, model.square):
        init.orthogonal_(weight, 1.5)
    init.trunc_normal_(model.few, std=0.02)
    init.eye_(model.identity)
    init.sparse_(model.thin, 0.4)
    init.trunc_normal_(model.cut, a=-1.0, b=3.0)
    init.xavier_normal_(model.narrow)
    init.uniform_(model.plain)
    init.normal_(model.bf16, std=0.02)
    init.normal_(model.f64, std=0.02)


PLAN = {"up": ColwiseParallel, "down": RowwiseParallel, "norm": SequenceParallel}


def _tensor_parallel(model, mesh):
    return parallelize_module(model, mesh, {name: style() for name, style in PLAN.items()})


def _meshes(*sizes):
    return init_device_mesh("cpu", sizes, mesh_dim_names=("first", "second")[: len(sizes)])


def fsdp(model, ranks):
    """FSDP2 over all ranks."""
    return fully_shard(model, mesh=_meshes(ranks))


def fsdp_columns(model, ranks):
    """FSDP2 along dimension 1 where it divides evenly, which FSDP2 asks for."""

    def dim(parameter):
        even = parameter.dim() > 1 and parameter.shape[1] % ranks == 0
        return Shard(1) if even else Shard(0)

    return fully_shard(model, mesh=_meshes(ranks), shard_placement_fn=dim)


def offloaded(model, ranks):
    """FSDP2 with parameters kept on the CPU."""
    policy = CPUOffloadPolicy(pin_memory=False)
    return fully_shard(model, mesh=_meshes(ranks), offload_policy=policy)


def tensor_parallel(model, ranks):
    """Tensor parallelism over all ranks; the other parameters are plain."""
    return _tensor_parallel(model, _meshes(ranks))


def fsdp_over_tensor_parallel(model, ranks):
    """FSDP2 over tensor parallelism of two ranks."""
    mesh = _meshes(ranks // 2, 2)
    return fully_shard(_tensor_parallel(model, mesh["second"]), mesh=mesh["first"])


def hybrid(model, ranks):
    """HSDP: two replicas, each sharded."""
    return fully_shard(model, mesh=_meshes(2, ranks // 2))


LAYOUTS = [fsdp, fsdp_columns, offloaded, tensor_parallel, fsdp_over_tensor_parallel, hybrid]
