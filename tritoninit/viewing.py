"""Where a view of a whole tensor meets a box of it.

Init code writes rows, columns, slices, chunks and transposes of a tensor; a rank holds boxes of
it.  Both are described along the tensor's dimensions, so that a rank writes its share of the
view with the view's own indices, which decide its values.
"""

from __future__ import annotations

from typing import NamedTuple

from tritoninit.plan import View
from tritoninit.region import Shape


class Slicing(NamedTuple):
    """A view as basic slicing: ``tensor[start + step * j, ...]``.

    ``start`` has an index for every dimension of the tensor; ``axes`` gives for every dimension
    of the view the tensor's dimension that it runs along and its step, or None where it has one
    element only.
    """

    start: Shape
    axes: tuple[tuple[int, int] | None, ...]


class Cut(NamedTuple):
    """The part of a view inside a box: its place in the view, and in the box's memory.

    ``offset`` and ``sizes`` are a box of the view; element 0 lies at ``start`` in the box of the
    tensor, and ``strides`` are those of the box's memory along the view's dimensions.
    """

    offset: Shape
    sizes: Shape
    start: Shape
    strides: Shape


def slicing_of(view: View, shape: Shape, strides: Shape) -> Slicing | None:
    """The view of a dense tensor as slicing; None where it is no such view.

    A diagonal, a reshape across dimensions and an overlapping view are none.
    """
    if 0 in shape:
        return None
    order = sorted((dim for dim, size in enumerate(shape) if size > 1), key=lambda d: -strides[d])
    start = [0] * len(shape)
    rest = view.offset
    for dim in order:
        start[dim], rest = divmod(rest, strides[dim])
    if rest or any(at >= size for at, size in zip(start, shape, strict=True)):
        return None
    axes: list[tuple[int, int] | None] = []
    free = list(order)
    for size, stride in zip(view.shape, view.strides, strict=True):
        if size == 1:
            axes.append(None)
            continue
        for dim in free:
            step, left = divmod(stride, strides[dim])
            if step > 0 and not left and start[dim] + step * (size - 1) < shape[dim]:
                axes.append((dim, step))
                free.remove(dim)
                break
        else:
            return None
    return Slicing(tuple(start), tuple(axes))


def cut(
    slicing: Slicing, view_shape: Shape, offset: Shape, sizes: Shape, strides: Shape
) -> Cut | None:
    """The part of a view inside the box [offset, offset + sizes); None where they do not meet.

    ``strides`` are those of the box's memory.
    """
    first = [s - o for s, o in zip(slicing.start, offset, strict=True)]
    along = {axis[0] for axis in slicing.axes if axis}
    if any(not 0 <= first[d] < sizes[d] for d in range(len(sizes)) if d not in along):
        return None
    low, count, step = [], [], []
    for size, axis in zip(view_shape, slicing.axes, strict=True):
        if axis is None:
            begin, end, stride = 0, size, 1
        else:
            dim, every = axis
            begin = max(0, -(first[dim] // every))
            end = min(size, -((first[dim] - sizes[dim]) // every))
            stride = every * strides[dim]
            first[dim] += begin * every
        if begin >= end:
            return None
        low.append(begin)
        count.append(end - begin)
        step.append(stride)
    return Cut(tuple(low), tuple(count), tuple(first), tuple(step))
