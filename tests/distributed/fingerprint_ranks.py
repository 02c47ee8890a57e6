"""What each rank of ``test_fingerprint_ranks.py`` does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

import tritoninit

COLLECTIVES = (
    "all_gather",
    "all_reduce",
    "broadcast",
    "all_gather_object",
    "all_gather_into_tensor",
)

TWO_MESHES = ("of one dimension", "across", "plain")  # over dp, over tp, everywhere


def whole() -> dict[str, Tensor]:
    """The unsharded tensors; sizes that 2 and 4 ranks do not divide among them."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    return {
        "rows": random(8, 6),
        "columns": random(6, 8).bfloat16(),
        "uneven": random(7, 5),
        "empty on some": random(2, 3),
        "replicated": random(5, 3),
        "both": random(8, 12),
        "rows twice": random(10, 3),
        "of one dimension": random(9, 4),
        "across": random(4, 9).to(torch.complex128),
        "strided": random(13, 3),
        "scalar": random(),
        "plain": random(11),
        "counter": torch.tensor(7),
    }


def sharded(mesh: DeviceMesh) -> dict[str, Tensor]:
    """The same tensors over a (dp, tp) mesh, in another order."""
    full = whole()
    dp, tp = mesh["dp"], mesh["tp"]
    made: dict[str, Tensor] = {"plain": full["plain"], "counter": full["counter"]}

    def place(name: str, over: DeviceMesh, *placements: Any) -> None:
        made[name] = distribute_tensor(full[name], over, placements, src_data_rank=None)

    place("rows", mesh, Replicate(), Shard(0))
    place("columns", mesh, Shard(1), Replicate())
    place("uneven", mesh, Shard(0), Shard(1))
    place("empty on some", mesh, Shard(0), Shard(0))
    place("replicated", mesh, Replicate(), Replicate())
    place("both", mesh, Shard(1), Shard(0))
    place("rows twice", mesh, Shard(0), Shard(0))
    place("of one dimension", dp, Shard(0))
    place("across", tp, Shard(1))
    place("scalar", mesh, Replicate(), Replicate())
    layer = nn.Module()
    layer.weight = nn.Parameter(distribute_tensor(full["strided"], tp, [Shard(0)]))
    fully_shard(layer, mesh=dp)
    assert "_StridedShard" in str(layer.weight.placements), layer.weight.placements
    made["strided"] = layer.weight
    return made


def local(tensor: Tensor) -> Tensor:
    """The memory of this rank, to be corrupted."""
    return (tensor._local_tensor if isinstance(tensor, DTensor) else tensor).detach()


def failure(call: Callable[[], Any]) -> list[str]:
    """The class and the text of what a call raises."""
    try:
        return ["nothing", str(call())]
    except Exception as reason:
        return [type(reason).__name__, str(reason)]


def numbers(mesh: DeviceMesh) -> Any:
    tensors = sharded(mesh)
    return [tritoninit.fingerprint(tensors), tritoninit.fingerprints(tensors)]


def each_alone(mesh: DeviceMesh) -> Any:
    """One tensor at a time: also those whose mesh does not span the world."""
    tensors = sharded(mesh)
    found = {name: tritoninit.fingerprint({name: tensors[name]}) for name in sorted(tensors)}
    two = {name: tensors[name] for name in TWO_MESHES}
    return {**found, "two meshes": tritoninit.fingerprint(two)}


def messages(mesh: DeviceMesh) -> Any:
    """The collectives of one call, with DTensors and without."""
    tensors = sharded(mesh)
    called: list[str] = []
    originals = {name: getattr(dist, name) for name in COLLECTIVES}

    def counted(name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            called.append(name)
            return originals[name](*args, **kwargs)

        return call

    for name in COLLECTIVES:
        setattr(dist, name, counted(name))
    try:
        tritoninit.fingerprint(tensors)
        shared = list(called)
        tritoninit.fingerprint({"plain": tensors["plain"]})
        return [shared, called[len(shared) :]]
    finally:
        for name, original in originals.items():
            setattr(dist, name, original)


def corrupted(mesh: DeviceMesh) -> Any:
    """One bit of one replica, on rank 3 or 1, of every kind of replica."""
    found = {}
    for name, rank in (("replicated", 3), ("rows", 3), ("plain", 1), ("of one dimension", 3)):
        tensors = sharded(mesh)
        if dist.get_rank() == rank:
            local(tensors[name]).view(torch.int32).view(-1)[0] ^= 1
        found[name] = failure(lambda tensors=tensors: tritoninit.fingerprint(tensors))
    return found


def flipped(mesh: DeviceMesh) -> Any:
    """A bit of an element that one rank alone holds changes the number, on every rank."""
    tensors = sharded(mesh)
    if dist.get_rank() == 2:
        local(tensors["uneven"]).view(torch.int32)[0, 0] ^= 1
    return tritoninit.fingerprint(tensors)


def unlike(mesh: DeviceMesh) -> Any:
    """Ranks whose models are not the same."""
    missing, recast, moved = sharded(mesh), sharded(mesh), sharded(mesh)
    if dist.get_rank() == 1:
        del missing["uneven"]
        recast["plain"] = recast["plain"].double()
        moved["both"] = distribute_tensor(
            whole()["both"], mesh, [Shard(0), Shard(1)], src_data_rank=None
        )
    return [failure(lambda t=t: tritoninit.fingerprint(t)) for t in (missing, recast, moved)]


def failing(mesh: DeviceMesh) -> Any:
    """One rank cannot read a tensor; then the ranks go on together."""
    found = []
    bad: list[Any] = [
        torch.empty(11, device="meta"),
        3,
        DTensor.from_local(torch.ones(3), mesh, [Partial(), Replicate()]),
    ]
    for value in bad:
        tensors: dict[str, Any] = dict(sharded(mesh))
        if dist.get_rank() == 2:
            tensors["plain"] = value
        for call in (tritoninit.fingerprint, tritoninit.fingerprints):
            found.append(failure(lambda call=call, tensors=tensors: call(tensors)))
    found.append(["then", tritoninit.fingerprint(sharded(mesh))])
    return found


def stages(mesh: DeviceMesh) -> Any:
    """dp is the pipeline: each of its ranks holds half of the tensors, sharded over tp."""
    full = whole()
    names = sorted(full)[dist.get_rank() // 2 :: 2]
    tp, group = mesh["tp"], mesh["dp"].get_group()
    held = {
        name: distribute_tensor(full[name], tp, [Shard(0) if full[name].dim() else Replicate()])
        for name in names
    }
    together = tritoninit.fingerprint(held, group=group)
    plain = tritoninit.fingerprint({name: full[name] for name in names}, group=group)
    bad = {**held, "meta": torch.empty(1, device="meta")} if dist.get_rank() == 3 else held
    return [together, plain, failure(lambda: tritoninit.fingerprint(bad, group=group))]


def modules(mesh: DeviceMesh) -> Any:
    """FSDP2 on a module with ties and buffers, before and after sharding."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 6), nn.Linear(5, 6))
    model[3].weight = model[2].weight
    before = tritoninit.fingerprint(model)
    fully_shard(model, mesh=mesh)
    return [before, tritoninit.fingerprint(model), tritoninit.fingerprint(model.state_dict())]


CHECKS: list[Callable[[DeviceMesh], Any]] = [
    *(numbers, each_alone, messages, corrupted, flipped, unlike, failing, stages, modules),
]


def check(rank: int) -> dict[str, Any]:
    """What every check returns on one gloo rank, on a mesh of dp x tp = half the ranks x 2."""
    mesh = init_device_mesh("cpu", (dist.get_world_size() // 2, 2), mesh_dim_names=("dp", "tp"))
    return {function.__name__: function(mesh) for function in CHECKS}
