"""What part of a global tensor a local buffer holds.

A ``Region`` is a box of a global, row-major tensor together with the strides at which the
box lies in a local buffer.  A flat run of a tensor (FSDP1, ZeRO) is a box of the flattened
tensor.  ``spans`` reduces a region to the form in which the backends walk it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Shape = tuple[int, ...]


class Axis(NamedTuple):
    """``size`` steps of ``stride`` in the global tensor and ``local`` in the buffer."""

    size: int
    stride: int
    local: int


class Spans(NamedTuple):
    """A region as rows of globally contiguous elements.

    ``first`` is the global index of the first element.  ``rows`` are the outer axes, along
    which the global index jumps; within a row, ``length`` consecutive global elements lie in
    row-major order along the axes ``span`` of the buffer.
    """

    first: int
    rows: tuple[Axis, ...]
    span: tuple[Axis, ...]
    length: int


def row_major(shape: Shape) -> Shape:
    """The strides, in elements, of a contiguous tensor of this shape."""
    strides = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


@dataclass(frozen=True, slots=True)
class Region:
    """The box [offset, offset + sizes) of a tensor of shape ``global_shape``.

    ``strides`` say where the box's elements lie in the local buffer, in elements; the box's
    first element is the buffer's element 0.

    Raises:
        ValueError: the box leaves the global shape, or the lengths of the tuples differ.
    """

    global_shape: Shape
    offset: Shape
    sizes: Shape
    strides: Shape

    def __post_init__(self) -> None:
        rank = len(self.global_shape)
        if not rank == len(self.offset) == len(self.sizes) == len(self.strides):
            raise ValueError(
                f"global_shape {self.global_shape}, global_offset {self.offset} and the tensor's"
                f" shape {self.sizes} must have the same number of dimensions"
            )
        for dim in range(rank):
            low, size, limit = self.offset[dim], self.sizes[dim], self.global_shape[dim]
            if low < 0 or size < 0 or low + size > limit:
                raise ValueError(
                    f"global_offset {self.offset} with shape {self.sizes} leaves global_shape"
                    f" {self.global_shape} in dimension {dim}: [{low}, {low + size}) is not"
                    f" within [0, {limit})"
                )

    @classmethod
    def whole(cls, shape: Shape, strides: Shape) -> Region:
        """A tensor that is its own global tensor."""
        return cls(shape, (0,) * len(shape), shape, strides)

    @classmethod
    def flat_run(cls, numel: int, start: int, length: int, stride: int = 1) -> Region:
        """Elements [start, start + length) of a flattened tensor of ``numel`` elements."""
        return cls((numel,), (start,), (length,), (stride,))

    @property
    def numel(self) -> int:
        """How many elements the box holds."""
        return math.prod(self.sizes)

    @property
    def extent(self) -> int:
        """How many elements of the buffer the box reaches over."""
        if not self.numel:
            return 0
        return 1 + sum((n - 1) * s for n, s in zip(self.sizes, self.strides, strict=True))

    def spans(self) -> Spans:
        """The region as rows of globally contiguous elements, with axes merged."""
        global_strides = row_major(self.global_shape)
        first = sum(o * s for o, s in zip(self.offset, global_strides, strict=True))
        if not self.numel:
            return Spans(first, (), (Axis(0, 1, 1),), 0)
        axes = [
            Axis(n, g, s)
            for n, g, s in zip(self.sizes, global_strides, self.strides, strict=True)
            if n != 1
        ]
        length = 1
        span: list[Axis] = []
        while axes and axes[-1].stride == length:
            axis = axes.pop()
            length *= axis.size
            span.insert(0, axis)
        return Spans(first, _merged(axes), _merged(span) or (Axis(1, 1, 1),), length)

    def axes(self) -> tuple[int, tuple[Axis, ...]]:
        """The global index of the first element, and the axes in the order of local memory.

        For what does not depend on the order of the elements: the last axis has the least step
        in the buffer.
        """
        global_strides = row_major(self.global_shape)
        first = sum(o * s for o, s in zip(self.offset, global_strides, strict=True))
        axes = [
            Axis(n, g, s)
            for n, g, s in zip(self.sizes, global_strides, self.strides, strict=True)
            if n != 1
        ]
        axes.sort(key=lambda axis: (axis.local, axis.stride), reverse=True)
        return first, _merged(axes)

    def locate(self, index: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The buffer positions of those of these global indices that lie in the box."""
        inside = np.ones(index.shape, dtype=bool)
        position = np.zeros(index.shape, dtype=np.int64)
        for dim, step in enumerate(row_major(self.global_shape)):
            coordinate = index // step % max(self.global_shape[dim], 1) - self.offset[dim]
            inside &= (coordinate >= 0) & (coordinate < self.sizes[dim])
            position += coordinate * self.strides[dim]
        return position[inside]


def _merged(axes: list[Axis]) -> tuple[Axis, ...]:
    """Join neighbouring axes that step evenly both globally and locally."""
    merged: list[Axis] = []
    for axis in axes:
        if merged:
            outer = merged[-1]
            if outer.stride == axis.size * axis.stride and outer.local == axis.size * axis.local:
                merged[-1] = Axis(outer.size * axis.size, axis.stride, axis.local)
                continue
        merged.append(axis)
    return tuple(merged)


def boxes_of_run(shape: Shape, start: int, length: int) -> Iterator[tuple[int, Shape, Shape]]:
    """Elements [start, start + length) of a row-major tensor as boxes, in order.

    Yields (position in the run, offset, sizes); at most two boxes a dimension.
    """
    if not length:
        return
    if not shape:
        yield 0, (), ()
        return
    step = math.prod(shape[1:])
    done = 0
    while done < length:
        row, within = divmod(start + done, step)
        rows = (length - done) // step if not within else 0
        if rows:
            yield done, (row, *(0,) * (len(shape) - 1)), (rows, *shape[1:])
            done += rows * step
            continue
        part = min(step - within, length - done)
        for at, offset, sizes in boxes_of_run(shape[1:], within, part):
            yield done + at, (row, *offset), (1, *sizes)
        done += part
