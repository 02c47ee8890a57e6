"""A job of 4096 ranks (512 data parallel x 8 tensor parallel) in fake process groups."""

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

import tritoninit
from tests.distributed.launch import run
from tests.distributed.models import cut, on_meta, values


def filled(model):
    tritoninit.materialize(model, device="cpu")
    return model


class Large(nn.Module):
    """A vocabulary and widths that 4096 ranks split unevenly, or not at all."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5003, 40, padding_idx=1)
        self.up = nn.Linear(40, 1200)
        self.down = nn.Linear(1200, 40)
        self.norm = nn.LayerNorm(40)
        self.gate = nn.Parameter(torch.empty(1030, 6))
        self.register_buffer("position", torch.empty(9), persistent=False)

    @torch.no_grad()
    def reset_parameters(self):
        nn.init.orthogonal_(self.gate)
        self.position.copy_(torch.arange(9.0))


def sharded(mesh):
    model = on_meta(Large)
    parallelize_module(model, mesh["tp"], {"up": ColwiseParallel(), "down": RowwiseParallel()})
    fully_shard(model, mesh=mesh["dp"])
    return model


def rows_of(whole, dp, tp, name):
    """FSDP2 over tensor parallelism: tp cuts first."""
    dims = {"up.weight": 0, "up.bias": 0, "down.weight": 1}
    if name in dims:
        whole = cut(whole, [8], [Shard(dims[name])], [tp])
    return cut(whole, [512], [Shard(0)], [dp])


RANKS = [(0, 0), (151, 5), (299, 7), (511, 3)]


def check(index):
    dp, tp = RANKS[index]
    dist.init_process_group("fake", rank=8 * dp + tp, world_size=4096)
    mesh = init_device_mesh("cpu", (512, 8), mesh_dim_names=("dp", "tp"))
    model = sharded(mesh)
    coordinate = {"dp": dp, "tp": tp}
    simulated = tritoninit.simulate(model, coordinate)
    tritoninit.materialize(model)
    expected = values(filled(on_meta(Large)))
    placements = {
        name: tensor.placements if isinstance(tensor, DTensor) else None
        for name, tensor in values(model).items()
    }
    for name, tensor in values(model).items():
        local = tensor._local_tensor if placements[name] else tensor
        want = rows_of(expected[name], dp, tp, name) if placements[name] else expected[name]
        assert torch.equal(local, want), name
        assert torch.equal(simulated[name], want), name
    # The mesh of a tensor that only dp splits has no tp; the same in plain words:
    plain = tritoninit.simulate(
        on_meta(Large),
        coordinate,
        mesh={"dp": 512, "tp": 8},
        placements=lambda name, _: (
            placements[name] and [*placements[name], *[Replicate()] * (2 - len(placements[name]))]
        ),
    )
    for name, tensor in simulated.items():
        assert torch.equal(plain[name], tensor), name

    other = tritoninit.simulate(sharded(mesh), {"dp": 17, "tp": 6}, names=["up.weight"])
    want = rows_of(expected["up.weight"], 17, 6, "up.weight")
    assert torch.equal(other["up.weight"], want), "a rank that the model was not sharded for"


def test_ranks_of_a_job_of_4096():
    run(check, len(RANKS), group_timeout=None)
