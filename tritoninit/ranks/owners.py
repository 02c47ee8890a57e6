"""Orthogonal matrices of a sharded model: each computed by one rank and sent, where that pays.

A part of an orthogonal matrix takes the whole matrix to compute.  A mesh of W ranks either
computes each of its K matrices W times, at the same time, or deals them out and sends them.  The
choice follows from the plan alone, so that all ranks make the same one, and no value depends
on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from tritoninit.dtensor import coordinate_of, is_dtensor, parts_of
from tritoninit.orthogonal import orthogonal
from tritoninit.plan import Copy, Fill, Write
from tritoninit.ranks.collective import broadcast
from tritoninit.recipe import Orthogonal
from tritoninit.region import Shape
from tritoninit.writing import Sources, is_local, write_parts

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

# Picoseconds, rounded against sending.  Computing on one Zen 5 core: 13 to 25 ps an element and
# column of a square of 2048 to 256.  Sending, gloo among 4 processes on 2 Zen 4 cores: 0.6 to
# 1.0 ms, and 0.9 ns a byte.  Not measured on GPUs.
COMPUTE = 15  # an element and column (of the shorter side)
SEND = 1_000  # a byte
LATENCY = 1_000_000_000  # a matrix

SENT = "sent"  # in the place of a digest


class Matrix(NamedTuple):
    """A matrix that one rank computes: write ``write`` of the fill ``name``.

    ``owner`` is the row-major index of that rank in the mesh.
    """

    name: str
    write: int
    owner: int


def deal(fills: Iterable[Fill]) -> list[Matrix]:
    """The matrices that are sent, in the order in which they are, with their owners.

    A matrix of m x n elements of s bytes takes 15 ps m n min(m, n) to compute, and 1 ms + 1 ns
    m n s to send.  Those that take longer to compute than to send are dealt out in turn among
    the ranks of their mesh; but if sending them all and computing the largest share takes longer
    than computing them all, every rank computes them all.  A single matrix is therefore never
    sent: to wait for its owner takes as long as to compute it.
    """
    meshes: dict[tuple[Shape, tuple[str, ...]], list[tuple[str, int, int, int]]] = {}
    for fill in sorted(fills, key=lambda fill: fill.name):
        if fill.sharding is None or fill.sharding.ranks == 1 or not is_local(fill):
            continue
        for index, write in enumerate(fill.writes):
            if isinstance(write.recipe, Orthogonal):
                compute, send = costs(written_shape(fill, write), fill.itemsize)
                if send < compute:
                    mesh = fill.sharding.mesh, fill.sharding.names
                    meshes.setdefault(mesh, []).append((fill.name, index, compute, send))
    dealt = []
    for (sizes, _), matrices in meshes.items():
        ranks = math.prod(sizes)
        shares = [sum(compute for _, _, compute, _ in matrices[r::ranks]) for r in range(ranks)]
        if max(shares) + sum(send for *_, send in matrices) < sum(shares):
            dealt += [Matrix(n, w, at % ranks) for at, (n, w, _, _) in enumerate(matrices)]
    return sorted(dealt)


def costs(shape: Shape, itemsize: int) -> tuple[int, int]:
    """Picoseconds to compute a matrix, and to send it."""
    rows, columns = shape[0], math.prod(shape[1:])
    elements = rows * columns
    return COMPUTE * elements * min(rows, columns), LATENCY + SEND * elements * itemsize


class Delivery:
    """The matrices that are dealt out, and the tensors that they go to.

    To make one allocates the tensors, computes this rank's own matrices and allocates a buffer
    for the others', so that ``carry_out`` has little left that can fail on one rank while the
    others wait.
    """

    def __init__(
        self,
        dealt: Sequence[Matrix],
        fills: Iterable[Fill],
        allocated: Mapping[str, Callable[[], Tensor]],
    ) -> None:
        self.dealt = dealt
        by_name = {fill.name: fill for fill in fills}
        self.fills = {matrix.name: by_name[matrix.name] for matrix in dealt}
        self.tensors = {name: allocated[name]() for name in self.fills}
        self.own: dict[Matrix, Tensor] = {}
        self.buffers: dict[torch.device, Tensor] = {}
        for matrix in dealt:
            fill, tensor = self.fills[matrix.name], self._tensor(matrix.name)
            write, device = fill.writes[matrix.write], tensor.device
            shape = written_shape(fill, write)
            if self._owns(matrix):
                recipe, key = write.recipe, write.key
                assert isinstance(recipe, Orthogonal)
                assert key is not None
                made = orthogonal(shape, recipe.gain, key, device, tensor.dtype)
                self.own[matrix] = made.to(tensor.dtype).contiguous()
            else:
                size = math.prod(shape) * fill.itemsize
                held = self.buffers.get(device)
                if held is None or held.numel() < size:
                    self.buffers[device] = torch.empty(size, dtype=torch.uint8, device=device)

    def carry_out(self, sources: Sources) -> None:
        """Send the matrices and write the tensors.

        A rank that cannot write one takes part to the end, and raises then.
        """
        failure: Exception | None = None
        places = {(matrix.name, matrix.write): matrix for matrix in self.dealt}
        for name, fill in self.fills.items():
            for index, write in enumerate(fill.writes):
                given = sources
                if matrix := places.get((name, index)):
                    values = self._sent(matrix)
                    write = replace(write, recipe=Copy(tuple(values.shape), fill.dtype, SENT))
                    given = {SENT: values}
                try:
                    parts = parts_of(self._tensor(name))
                    write_parts(replace(fill, writes=(write,)), parts, given)
                except Exception as error:
                    failure = failure or error
        if failure is not None:
            raise failure

    def _tensor(self, name: str) -> DTensor:
        tensor = self.tensors[name]
        assert is_dtensor(tensor)
        return tensor

    def _owns(self, matrix: Matrix) -> bool:
        sharding = self.fills[matrix.name].sharding
        assert sharding is not None
        return sharding.coordinate(matrix.owner) == coordinate_of(self._tensor(matrix.name))

    def _sent(self, matrix: Matrix) -> Tensor:
        """The matrix, on every rank of the mesh; in the buffer, where it is another rank's."""
        fill, tensor = self.fills[matrix.name], self._tensor(matrix.name)
        values = self.own.pop(matrix, None)
        if values is None:
            shape = written_shape(fill, fill.writes[matrix.write])
            held = self.buffers[tensor.device][: math.prod(shape) * fill.itemsize]
            values = held.view(tensor.dtype).view(shape)
        if coordinate_of(tensor) is not None:
            broadcast(values, tensor.device_mesh, matrix.owner)
        return values


def written_shape(fill: Fill, write: Write) -> Shape:
    """The shape of what a write fills, whole tensor or view."""
    return fill.shape if write.view is None else write.view.shape
