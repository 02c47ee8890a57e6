"""Short messages among the ranks that hold parts of the same model.

Who they are follows from the meshes of the model's DTensors.  Where one mesh spans the world,
one all_gather in the default group tells every rank; else (a pipeline stage) one along each
dimension of each mesh.  A dead rank ends the others with the process group's own error, within
its timeout.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup
    from torch.distributed.device_mesh import DeviceMesh

RANK_BYTES = 8


def exchange(payload: bytes, meshes: Iterable[DeviceMesh]) -> dict[int, bytes]:
    """The payloads of all ranks of these meshes, by global rank; this rank's own among them.

    Every rank of the meshes must call it with a payload of the same length.  Without meshes,
    and in a fake process group, there is nobody to ask.
    """
    meshes = list(meshes)
    if not meshes:
        return {0: payload}
    import torch.distributed as dist

    own = dist.get_rank()
    known = {own: payload}
    for group, device_type in _groups(meshes):
        if dist.get_backend(group) == "fake":
            continue
        mine = b"".join(rank.to_bytes(RANK_BYTES, "little") + known[rank] for rank in sorted(known))
        step = RANK_BYTES + len(payload)
        for data in gather(mine, group, device_type):
            for at in range(0, len(data), step):
                rank = int.from_bytes(data[at : at + RANK_BYTES], "little")
                known[rank] = data[at + RANK_BYTES : at + step]
    return known


def gather(payload: bytes, group: ProcessGroup | None, device_type: str) -> list[bytes]:
    """The payloads, all of one length, of the ranks of one group, in its order; one all_gather."""
    import torch.distributed as dist

    sent = torch.frombuffer(bytearray(payload), dtype=torch.uint8).to(device_type)
    received = [torch.empty_like(sent) for _ in range(dist.get_world_size(group))]
    dist.all_gather(received, sent, group=group)
    return [part.cpu().numpy().tobytes() for part in received]


def device_of(group: ProcessGroup) -> str:
    """A type of device whose tensors the group can send."""
    import torch.distributed as dist

    devices = [part.split(":")[0] for part in str(dist.get_backend_config(group)).split(",")]
    return "cpu" if "cpu" in devices else devices[0]


def members(meshes: Iterable[DeviceMesh]) -> set[int]:
    """The ranks that :func:`exchange` will ask, by the meshes alone.

    Meshes of different dimensions of one larger mesh reach all ranks that lie as far from one
    another as the ranks of each do.
    """
    meshes = list(meshes)
    if not meshes:
        return {0}
    import torch.distributed as dist

    if any(spans_world(mesh) for mesh in meshes):
        return set(range(dist.get_world_size()))
    own = dist.get_rank()
    reached = {own}
    for ranks in sorted((set(mesh.mesh.flatten().tolist()) for mesh in meshes), key=len)[::-1]:
        if not ranks <= reached:
            reached = {rank + other - own for rank in reached for other in ranks}
    return reached


def exchange_texts(text: str, meshes: Iterable[DeviceMesh]) -> dict[int, str]:
    """The texts of all ranks, of any length; one more exchange than :func:`exchange`."""
    meshes = list(meshes)
    data = text.encode()
    lengths = exchange(len(data).to_bytes(8, "little"), meshes)
    sizes = {rank: int.from_bytes(size, "little") for rank, size in lengths.items()}
    padded = exchange(data.ljust(max(sizes.values()), b"\0"), meshes)
    return {rank: padded[rank][: sizes[rank]].decode() for rank in padded}


def spans_world(mesh: DeviceMesh) -> bool:
    """Whether every rank of the job is in the mesh."""
    import torch.distributed as dist

    return mesh.size() == dist.get_world_size()


def is_fake() -> bool:
    """Whether nothing is sent: the fake process group stands in for thousands of ranks."""
    import torch.distributed as dist

    return dist.is_initialized() and dist.get_backend() == "fake"


def is_first_rank() -> bool:
    """Whether this is rank 0 of the job, or the only one."""
    import torch.distributed as dist

    return not (dist.is_available() and dist.is_initialized()) or dist.get_rank() == 0


def broadcast(data: Tensor, mesh: DeviceMesh, owner: int) -> None:
    """Send the memory of a contiguous tensor from one rank of a mesh to all its others.

    ``owner`` is the rank's row-major index in the mesh.  Without a group of just these ranks,
    the tensor goes along one mesh dimension after the other.
    """
    import torch.distributed as dist

    sent = data.view(-1).view(torch.uint8)  # not every backend sends every dtype
    held = sent.to(mesh.device_type)
    if spans_world(mesh):
        dist.broadcast(held, src=int(mesh.mesh.flatten()[owner]))
    else:
        source = tuple(int(at) for at in np.unravel_index(owner, tuple(mesh.shape)))
        own = tuple(mesh.get_coordinate() or ())
        for dim in range(mesh.ndim):
            if mesh.size(dim) > 1 and own[dim + 1 :] == source[dim + 1 :]:
                dist.broadcast(held, group_src=source[dim], group=mesh.get_group(dim))
    if held is not sent:
        sent.copy_(held)


def _groups(meshes: list[DeviceMesh]) -> list[tuple[ProcessGroup | None, str]]:
    """The process groups to ask, one after the other; None is the default group.

    Ranks that wait for one another must ask in the same order, even where their models differ:
    larger groups first, of equal ones that with the smaller step between its ranks.
    """
    import torch.distributed as dist

    world = next((mesh for mesh in meshes if spans_world(mesh)), None)
    if world is not None:
        return [(None, world.device_type)]
    groups: dict[tuple[int, ...], tuple[tuple[int, int, str], ProcessGroup, str]] = {}
    for mesh in meshes:
        for dim in range(mesh.ndim):
            if mesh.size(dim) > 1 and mesh.get_coordinate() is not None:
                group = mesh.get_group(dim)
                ranks = tuple(dist.get_process_group_ranks(group))
                order = (-len(ranks), ranks[1] - ranks[0], group.group_name)
                found = (order, group, mesh.device_type)
                groups[ranks] = min(groups.get(ranks, found), found, key=lambda entry: entry[0])
    return [(g, kind) for _, g, kind in sorted(groups.values(), key=lambda found: found[0])]
