"""The values of one tensor as consecutive pieces of bounded size, in row-major order."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from tritoninit.checkpoint.contents import Stored
from tritoninit.dtensor import Part
from tritoninit.layout import Placement
from tritoninit.plan import Fill
from tritoninit.recipe import Orthogonal, Sparse
from tritoninit.region import Region, Shape, row_major
from tritoninit.writing import Sources, is_local, write_parts, write_whole

PIECE_BYTES = 1 << 25  # 32 MiB: files of 256 MiB to 1 GiB are written no faster with more

# Computed from the whole tensor, so that every piece would cost as much as all.
WHOLE = (Orthogonal, Sparse)


def boxes(shape: Shape, most: int) -> Iterator[tuple[Shape, Shape]]:
    """(offset, sizes) of boxes of at most ``most`` elements that follow one another in memory."""
    if 0 in shape:
        return
    dim = 0  # the first dimension along which boxes are cut
    while dim < len(shape) and math.prod(shape[dim + 1 :]) > most:
        dim += 1
    if dim == len(shape):
        yield (0,) * dim, (1,) * dim  # no dimensions: one element
        return
    rows, rest = max(1, most // math.prod(shape[dim + 1 :])), shape[dim + 1 :]
    for outer in itertools.product(*map(range, shape[:dim])):
        for top in range(0, shape[dim], rows):
            count = min(rows, shape[dim] - top)
            yield (*outer, top, *(0 for _ in rest)), (*(1 for _ in outer), count, *rest)


class Pieces:
    """Computes tensors piece by piece, in one buffer that is used again.

    A tensor whose parts cannot be computed without the rest (``is_local``, ``WHOLE``) is one
    piece, in memory of its own.
    """

    def __init__(self, sources: Sources, piece_bytes: int = PIECE_BYTES) -> None:
        self.sources = sources
        self.buffer = torch.empty(piece_bytes, dtype=torch.uint8, device="cpu")

    def of(self, stored: Stored) -> Iterator[Tensor]:
        """The pieces: contiguous tensors on the CPU, each valid until the next."""
        if stored.fill is None:
            whole = stored.tensor.detach().cpu().contiguous()
            for offset, sizes in self._boxes(stored):
                yield _narrowed(whole, offset, sizes)
        elif _in_parts(stored.fill):
            for offset, sizes in self._boxes(stored):
                yield self._part(stored, stored.fill, offset, sizes)
        elif stored.numel:
            dtype, fill = stored.torch_dtype, stored.fill
            made = torch.empty_strided(fill.shape, fill.strides, dtype=dtype, device="cpu")
            write_whole(fill, made, self.sources)
            yield made.contiguous()

    def _boxes(self, stored: Stored) -> Iterator[tuple[Shape, Shape]]:
        most = self.buffer.numel() // stored.torch_dtype.itemsize
        return boxes(stored.shape, max(1, most))

    def _part(self, stored: Stored, fill: Fill, offset: Shape, sizes: Shape) -> Tensor:
        dtype = stored.torch_dtype
        nbytes = math.prod(sizes) * dtype.itemsize
        part = self.buffer[:nbytes].view(dtype).view(sizes)
        region = Region(stored.shape, offset, sizes, row_major(sizes))
        write_parts(fill, [Part(part, Placement(region, stored.shape))], self.sources)
        return part


def _in_parts(fill: Fill) -> bool:
    return is_local(fill) and not any(isinstance(w.recipe, WHOLE) for w in fill.writes)


def _narrowed(tensor: Tensor, offset: Shape, sizes: Shape) -> Tensor:
    for dim, (start, size) in enumerate(zip(offset, sizes, strict=True)):
        tensor = tensor.narrow(dim, start, size)
    return tensor
