"""The digests of what lies in this process's memory, on any device."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from tritoninit.backends import host_backend
from tritoninit.backends.digest import digest as host_digest
from tritoninit.digest import Digest
from tritoninit.dtensor import Part
from tritoninit.layout import storage_view
from tritoninit.region import Region
from tritoninit.stream import MASK64

UNSIGNED = {1: torch.uint8, 2: torch.uint16, 4: torch.uint32, 8: torch.uint64}
CHUNK = 1 << 20  # elements copied at once where memory cannot be read in place


def digests(tensors: list[tuple[int, list[Part]]]) -> list[Digest]:
    """For each tensor, given by the key of its elements and its local parts, their digest.

    All launches on a GPU are made before the first result is waited for.
    """
    totals = [Digest() for _ in tensors]
    tables: dict[torch.device, Tensor] = {}
    for entry, (key, parts) in enumerate(tensors):
        for part in parts:
            for bits, region in _readable(part.tensor.detach(), part.placement.region):
                if bits.device.type == "cuda":
                    table = tables.get(bits.device)
                    if table is None:
                        table = torch.zeros(len(tensors), 2, dtype=torch.int64, device=bits.device)
                        tables[bits.device] = table
                    from tritoninit.backends import triton_digest

                    triton_digest.digest(bits, region, key, table, entry)
                else:
                    data = bits.numpy()
                    threads = torch.get_num_threads()
                    totals[entry] += host_digest(host_backend(), data, region, key, threads)
    for table in tables.values():
        for entry, (first, second) in enumerate(table.tolist()):
            totals[entry] += Digest(first & MASK64, second & MASK64)
    return totals


def _readable(local: Tensor, region: Region) -> Iterator[tuple[Tensor, Region]]:
    """(flat memory as unsigned integers, the region that it holds), together the whole part."""
    if not region.numel:
        return
    if local.is_conj() or local.is_neg() or local.device.type not in ("cpu", "cuda"):
        yield from _copies(local, region)
        return
    if local.itemsize == 16:  # complex128: a real and an imaginary element
        local = torch.view_as_real(local)
        region = Region(
            (*region.global_shape, 2),
            (*region.offset, 0),
            (*region.sizes, 2),
            (*(2 * stride for stride in region.strides), 1),
        )
    yield storage_view(local, region).view(UNSIGNED[local.itemsize]), region


def _copies(local: Tensor, region: Region) -> Iterator[tuple[Tensor, Region]]:
    """Slices copied to the host, with conjugations and negations carried out."""
    if not local.dim():
        local, region = local[None], Region((1,), (0,), (1,), (1,))
    step = max(1, CHUNK // max(1, math.prod(region.sizes[1:])))
    for top in range(0, region.sizes[0], step):
        host = local[top : top + step].cpu().resolve_conj().resolve_neg().contiguous()
        offset = (region.offset[0] + top, *region.offset[1:])
        box = Region(region.global_shape, offset, tuple(host.shape), tuple(host.stride()))
        yield from _readable(host, box)
