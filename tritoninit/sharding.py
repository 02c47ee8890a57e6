"""Which part of a global tensor a rank of a device mesh holds, in plain integers.

A ``Sharding`` says for every dimension of a mesh whether it replicates the tensor or splits one
of the tensor's dimensions.  The meaning is torch's (``torch.distributed.tensor``): a split
gives rank i of n the i-th piece of ``torch.chunk(n)``, so pieces may be uneven and the last ones
empty.  A simulated rank of a mesh of thousands and a real DTensor are described alike.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import mul
from typing import NamedTuple

from tritoninit.region import Shape

Range = tuple[int, int]  # [start, stop)
Ranges = list[Range]


class Split(NamedTuple):
    """The tensor's dimension ``dim`` is split over a mesh dimension.

    ``factor`` is ``split_factor`` of torch's ``_StridedShard``: how many pieces the dimension
    was split into before, by mesh dimensions further right (FSDP2 over tensor parallelism).
    """

    dim: int
    factor: int = 1

    def __str__(self) -> str:
        strided = f", split_factor={self.factor}" if self.factor != 1 else ""
        return f"{'Strided' if strided else ''}Shard({self.dim}{strided})"


class Box(NamedTuple):
    """One contiguous box of a part: where it begins in the local and in the global tensor."""

    local: Shape
    offset: Shape
    sizes: Shape


@dataclass(frozen=True, slots=True)
class Sharding:
    """How a tensor lies on a device mesh.

    Args:
        mesh: the sizes of the mesh's dimensions.
        placements: for every mesh dimension a ``Split``, or None where it replicates.
        order: the mesh dimensions in the order in which they split the tensor, each taking its
            piece of ``Split.factor`` pieces.  None means from left to right, except that a
            factor moves a dimension behind those that split before it, where it says which.
        names: of the mesh dimensions; none by default.

    Raises:
        ValueError: the lengths differ, a size or factor is not positive, ``order`` is not a
            permutation of the mesh dimensions, or two names are the same.
    """

    mesh: Shape
    placements: tuple[Split | None, ...]
    order: Shape | None = None
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.mesh) != len(self.placements):
            raise ValueError(
                f"placements must name one placement for each of the mesh's {len(self.mesh)}"
                f" dimensions, got {len(self.placements)}: {self}"
            )
        if self.names and len(set(self.names)) != len(self.mesh):
            raise ValueError(f"names must differ, one for each of {self.mesh}, got {self.names}")
        if any(size < 1 for size in self.mesh):
            raise ValueError(f"mesh sizes must be at least 1, got {self.mesh}")
        if any(split and split.factor < 1 for split in self.placements):
            raise ValueError(f"split factors must be at least 1, got {self}")
        if self.order is not None and sorted(self.order) != list(range(len(self.mesh))):
            raise ValueError(
                f"order must be a permutation of the {len(self.mesh)} mesh dimensions, got"
                f" {self.order}"
            )

    def __str__(self) -> str:
        return f"({', '.join('Replicate()' if p is None else str(p) for p in self.placements)})"

    @property
    def ranks(self) -> int:
        """How many ranks the mesh has."""
        return math.prod(self.mesh)

    @property
    def replicas(self) -> int:
        """How many ranks hold each element."""
        return math.prod(n for n, p in zip(self.mesh, self.placements, strict=True) if p is None)

    def is_primary(self, coordinate: Sequence[int]) -> bool:
        """Whether this rank is the first of those that hold the same elements."""
        return all(p is not None or at == 0 for at, p in self._along(coordinate))

    def coordinate(self, rank: int) -> Shape:
        """The mesh coordinate of the rank with this row-major index.

        Raises:
            ValueError: the mesh has no such rank.
        """
        if not 0 <= rank < self.ranks:
            raise ValueError(f"rank must lie in [0, {self.ranks}) for mesh {self.mesh}, got {rank}")
        at = []
        for size in reversed(self.mesh):
            rank, index = divmod(rank, size)
            at.append(index)
        return tuple(reversed(at))

    def ranges(self, shape: Shape, coordinate: Sequence[int]) -> tuple[Ranges, ...]:
        """For every dimension, the global indices that the rank holds, in local order.

        Raises:
            ValueError: a split names a dimension that the shape does not have.
        """
        for _, split in self._along(coordinate):
            if split and not 0 <= split.dim < len(shape):
                raise ValueError(f"{self} splits dimension {split.dim} of shape {shape}")
        return tuple(_joined(self._held(dim, size, coordinate)) for dim, size in enumerate(shape))

    def local_shape(self, shape: Shape, coordinate: Sequence[int]) -> Shape:
        """The shape of the rank's part."""
        return tuple(_length(held) for held in self.ranges(shape, coordinate))

    def boxes(self, shape: Shape, coordinate: Sequence[int]) -> Iterator[Box]:
        """The rank's part as boxes; more than one only where a strided split interleaves."""
        dims = [list(_placed(held)) for held in self.ranges(shape, coordinate)]
        for pieces in itertools.product(*dims):
            yield Box(*(tuple(piece[part] for piece in pieces) for part in range(3)))

    def _along(self, coordinate: Sequence[int]) -> Iterable[tuple[int, Split | None]]:
        return zip(coordinate, self.placements, strict=True)

    def _held(self, dim: int, size: int, coordinate: Sequence[int]) -> Ranges:
        held = [(0, size)]
        for mesh_dim, factor in self._steps(dim):
            count, index = self.mesh[mesh_dim], coordinate[mesh_dim]
            pieces = (_chunk(held, factor, i) for i in range(factor))
            held = [part for piece in pieces for part in _chunk(piece, count, index)]
        return held

    def _steps(self, dim: int) -> list[tuple[int, int]]:
        """(mesh dimension, split factor) of the splits of a dimension, in order of execution.

        A factor is resolved into an order, as torch's DTensorSpec does: from right to left, a
        split goes behind the splits whose sizes multiply to its factor.  FSDP2 really splits in
        that order and ``redistribute`` agrees; ``distribute_tensor``, which goes from left to
        right, differs where sizes are uneven (7 rows, 3 data by 2 tensor parallel ranks).
        """
        splits = [(m, p.factor) for m, p in enumerate(self.placements) if p and p.dim == dim]
        if self.order is not None:
            return sorted(splits, key=lambda step: self.order.index(step[0]))  # type: ignore[union-attr]
        steps: list[int] = []
        for mesh_dim, factor in reversed(splits):
            before = list(itertools.accumulate((self.mesh[m] for m in steps), mul, initial=1))
            if factor not in before:
                return splits
            steps.insert(before.index(factor), mesh_dim)
        return [(mesh_dim, 1) for mesh_dim in steps]


def _length(held: Ranges) -> int:
    return sum(stop - start for start, stop in held)


def _chunk(held: Ranges, count: int, index: int) -> Ranges:
    """Piece ``index`` of ``count`` of the concatenated ranges, cut as torch.chunk does."""
    step = -(-_length(held) // count)
    low, high = index * step, (index + 1) * step
    piece = []
    at = 0
    for start, stop in held:
        left, right = max(low - at, 0), min(high - at, stop - start)
        if left < right:
            piece.append((start + left, start + right))
        at += stop - start
    return piece


def _joined(held: Ranges) -> Ranges:
    """Ranges that follow one another become one."""
    joined: Ranges = []
    for start, stop in held:
        if joined and joined[-1][1] == start:
            joined[-1] = joined[-1][0], stop
        else:
            joined.append((start, stop))
    return joined


def _placed(held: Ranges) -> Iterator[tuple[int, int, int]]:
    """(local start, global start, size) of every range."""
    at = 0
    for start, stop in held:
        yield at, start, stop - start
        at += stop - start
