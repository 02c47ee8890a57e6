"""How ranks talk while a model is materialized, counted; and orthogonal matrices by owners."""

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.debug import CommDebugMode

import tritoninit
from tests.distributed.launch import run
from tests.distributed.models import Net, on_meta, values
from tritoninit.ranks import collective, owners

NAMES = [name for name in dir(dist) if name.startswith(("all_", "broadcast", "gather", "scatter"))]
NAMES += ["barrier", "reduce", "reduce_scatter", "send", "recv", "isend", "irecv"]


def counted(action):
    """(calls of torch.distributed by name, collectives that its debug mode counts)."""
    calls = {}

    def counting(name, function):
        def call(*args, **kwargs):
            calls[name] = calls.get(name, 0) + 1
            return function(*args, **kwargs)

        return call

    originals = {name: getattr(dist, name) for name in NAMES if callable(getattr(dist, name))}
    for name, function in originals.items():
        setattr(dist, name, counting(name, function))
    try:
        with CommDebugMode() as mode:
            action()
    finally:
        for name, function in originals.items():
            setattr(dist, name, function)
    return calls, mode.get_total_counts()


class Matrices(nn.Module):
    """Orthogonal matrices whole, in chunks and in bfloat16, and one of which rows are zeroed."""

    def __init__(self):
        super().__init__()
        self.square = nn.Parameter(torch.empty(24, 24))
        self.tall = nn.Parameter(torch.empty(31, 10))
        self.chunks = nn.Parameter(torch.empty(30, 10))
        self.narrow = nn.Parameter(torch.empty(8, 20, dtype=torch.bfloat16))
        self.kernel = nn.Parameter(torch.empty(6, 4, 3))
        self.zeroed = nn.Parameter(torch.empty(12, 12))
        self.lower = nn.Parameter(torch.empty(12, 12))
        self.other = nn.Parameter(torch.empty(12))

    @torch.no_grad()
    def reset_parameters(self):
        for parameter in self.parameters():
            nn.init.ones_(parameter) if parameter.dim() < 2 else nn.init.orthogonal_(parameter)
        for chunk in self.chunks.chunk(3):
            nn.init.orthogonal_(chunk, gain=2)
        self.zeroed[3:5].zero_()
        self.lower.tril_()  # not written part by part: every rank computes it


def distributed(model, mesh, placements):
    for name, parameter in list(model.named_parameters()):
        fitting = [
            p if p.is_replicate() or p.dim < parameter.dim() else Shard(0) for p in placements
        ]
        cut = distribute_tensor(parameter, mesh, fitting)
        model.register_parameter(name, nn.Parameter(cut))
    return model


def check(rank):
    plain = on_meta(Net)
    calls = {"unsharded": counted(lambda: tritoninit.materialize(plain, device="cpu"))}
    world = init_device_mesh("cpu", (4,))
    model = on_meta(Net)
    fully_shard(model, mesh=world)
    calls["world"] = counted(lambda: tritoninit.materialize(model))
    square = init_device_mesh("cpu", (2, 2), mesh_dim_names=("a", "b"))
    model = distributed(on_meta(Matrices), square, [Shard(0), Replicate()])
    calls["matrices"] = counted(lambda: tritoninit.materialize(model))
    calls["owners"] = check_owners(world, square)
    return calls


def check_owners(world, square):
    """Any way of sending gives what every rank computes for itself."""
    expected = on_meta(Matrices)
    tritoninit.materialize(expected, device="cpu")
    owners.LATENCY = owners.SEND = 0
    counts = []
    spans_world = collective.spans_world
    for mesh, placements, whole_world in (
        (world, [Shard(0)], True),
        (world, [Shard(1)], True),
        (square, [Shard(1), Shard(0)], True),
        (square, [Replicate(), Shard(0)], False),  # along the mesh's dimensions
        (square["a"], [Shard(0)], True),  # two pairs of ranks
    ):
        if not whole_world:
            collective.spans_world = lambda mesh: False
        model = distributed(on_meta(Matrices), mesh, placements)
        counts.append(counted(lambda model=model: tritoninit.materialize(model))[0])
        collective.spans_world = spans_world
        for name, tensor in values(model).items():
            assert isinstance(tensor, DTensor)
            assert torch.equal(tensor.full_tensor(), expected.get_parameter(name)), name
    assert rank_that_cannot_write(world) == ("Failure" if dist.get_rank() == 1 else "RankError")
    assert rank_that_cannot_compute(world) == ("Failure" if dist.get_rank() == 2 else "RankError")
    return counts


class Failure(Exception):
    pass


def fail(*_, **__):
    raise Failure


def rank_that_cannot_write(mesh):
    return error_with(mesh, 1, "write_parts")


def rank_that_cannot_compute(mesh):
    return error_with(mesh, 2, "orthogonal")


def error_with(mesh, rank, name):
    original = getattr(owners, name)
    if dist.get_rank() == rank:
        setattr(owners, name, fail)
    model = distributed(on_meta(Matrices), mesh, [Shard(0)])
    try:
        tritoninit.materialize(model)
    except Exception as error:
        assert all(parameter.is_meta for parameter in model.parameters())
        return type(error).__name__
    finally:
        setattr(owners, name, original)
    return None


def test_collectives():
    for calls in run(check, 4):
        assert calls["unsharded"] == ({}, 0)
        assert calls["world"] == ({"all_gather": 2}, 2)
        assert calls["matrices"] == ({"all_gather": 2}, 2), "too small to be sent"
        world, _, square, along, pairs = calls["owners"]
        sent = 8  # square, tall, three chunks, narrow, kernel, zeroed
        assert world == square == {"all_gather": 3, "broadcast": sent}
        assert along["all_gather"] == 2 * 3
        assert sent <= along["broadcast"] <= 2 * sent
        assert pairs == {"all_gather": 3, "broadcast": sent}
