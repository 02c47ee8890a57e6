"""One process as any rank of a world of any size: torch's fake process group."""

from contextlib import contextmanager

import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import Replicate, distribute_tensor
from torch.distributed.tensor.debug import _clear_sharding_prop_cache
from torch.testing._internal.distributed.fake_pg import FakeStore


@contextmanager
def fake_rank(rank, world):
    """Within, this process is ``rank`` of ``world``, and collectives do nothing."""
    dist.init_process_group("fake", store=FakeStore(), rank=rank, world_size=world)
    # Operators on DTensors hand out cached specs, and with them the mesh, and so the coordinate,
    # of the rank that ran the operator first.
    _clear_sharding_prop_cache()
    try:
        yield
    finally:
        dist.destroy_process_group()


def fake_mesh(sizes) -> DeviceMesh:
    """A CPU mesh of these sizes over all ranks, its dimensions named m0, m1, ..."""
    names = [f"m{i}" for i in range(len(sizes))]
    return init_device_mesh("cpu", tuple(sizes), mesh_dim_names=names)


def as_torch_shards(whole, mesh, placements):
    """The DTensor that torch itself makes of the unsharded tensor, without a collective.

    ``redistribute`` reads a _StridedShard as FSDP2 does, ``distribute_tensor`` from left to right.
    """
    replicated = distribute_tensor(whole, mesh, [Replicate()] * mesh.ndim, src_data_rank=None)
    try:
        return replicated.redistribute(placements=placements)
    except ValueError:  # a _StridedShard that stands for no order of the mesh
        return distribute_tensor(whole, mesh, placements, src_data_rank=None)
