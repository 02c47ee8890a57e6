"""Carrying out a plan's writes on what a rank holds of a tensor."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from tritoninit.dtensor import Part
from tritoninit.evaluate import evaluate, operation
from tritoninit.fill import fill, fill_parts
from tritoninit.layout import Placement, place
from tritoninit.plan import Apply, Compute, Copy, Fill, View, Write
from tritoninit.recipe import (
    Constant,
    Dirac,
    Eye,
    Normal,
    Orthogonal,
    Sparse,
    TruncNormal,
    Uniform,
)
from tritoninit.region import Region, row_major
from tritoninit.viewing import cut, slicing_of

BY_INDEX = (Uniform, Normal, TruncNormal, Constant, Apply)  # the view's shape is of no account
FILLED = (Uniform, Normal, TruncNormal, Sparse, Orthogonal, Eye, Dirac)

Sources = Mapping[str, Tensor]  # the values of every Copy, by digest


def write_whole(entry: Fill, tensor: Tensor, sources: Sources) -> None:
    """Write a planned tensor into memory of its shape and strides."""
    for write in entry.writes:
        if isinstance(write.recipe, FILLED):
            fill(_seen(write, tensor), write.recipe, write.key)
        elif isinstance(write.recipe, Constant):
            _seen(write, tensor).fill_(write.recipe.value)
        else:
            carry_out(written_of_whole(write, tensor), write, sources)


def write_parts(entry: Fill, parts: list[Part], sources: Sources) -> None:
    """Write the parts of a planned tensor that a rank holds.

    A tensor that cannot be written part by part (``is_local``) is computed as a whole beside
    its parts, which are then taken from it.
    """
    parts = [part for part in parts if part.placement.region.numel]
    if not parts:
        return
    if is_local(entry):
        for write in entry.writes:
            carry_out(written_of_parts(entry, write, parts), write, sources)
        return
    dtype, device = getattr(torch, entry.dtype), parts[0].tensor.device
    whole = torch.empty_strided(entry.shape, entry.strides, dtype=dtype, device=device)
    write_whole(entry, whole, sources)
    for tensor, (region, _) in parts:
        tensor.copy_(_box(whole, region))


def written_of_whole(write: Write, tensor: Tensor) -> list[Part]:
    """What of a planned tensor's memory is written."""
    held = _seen(write, tensor)
    return [Part(held, place(held, None, None))]


def _seen(write: Write, tensor: Tensor) -> Tensor:
    """The view of a planned tensor that is written."""
    view = write.view
    return tensor if view is None else tensor.as_strided(view.shape, view.strides, view.offset)


def written_of_parts(entry: Fill, write: Write, parts: list[Part]) -> list[Part]:
    """What the parts hold of what is written, with its place in that; of a local tensor."""
    view = _view(entry, write)
    return [piece for part in parts for piece in _pieces(entry, view, part)]


def is_local(entry: Fill) -> bool:
    """Whether a part of the tensor can be written without the rest.

    Not so with a view across dimensions (a diagonal, a reshape), and with an operation that is
    not pointwise (``tril_``, ``cumsum_``).
    """
    for write in entry.writes:
        recipe, view = write.recipe, _view(entry, write)
        if isinstance(recipe, Apply) and torch.Tag.pointwise not in operation(recipe.op).tags:
            return False
        if view is not None and slicing_of(view, entry.shape, entry.strides) is None:
            return False
    return True


def _view(entry: Fill, write: Write) -> View | None:
    """The view that is written; None for the whole tensor, also under another shape."""
    view = write.view
    if view is None or not isinstance(write.recipe, BY_INDEX):
        return view
    whole = (
        view.offset == 0
        and math.prod(view.shape) == entry.numel
        and view.strides == row_major(view.shape)
        and entry.strides == row_major(entry.shape)
    )
    return None if whole else view


def _pieces(entry: Fill, view: View | None, part: Part) -> Iterator[Part]:
    """What a part holds of a view, with its place in the view."""
    if view is None:
        yield part
        return
    slicing = slicing_of(view, entry.shape, entry.strides)
    assert slicing is not None
    tensor, (region, _) = part
    found = cut(slicing, view.shape, region.offset, region.sizes, tuple(tensor.stride()))
    if found is not None:
        at = tensor[tuple(slice(start, None) for start in found.start)].storage_offset()
        held = tensor.as_strided(found.sizes, found.strides, at)
        box = Region(view.shape, found.offset, found.sizes, found.strides)
        yield Part(held, Placement(box, view.shape))


def carry_out(parts: list[Part], write: Write, sources: Sources) -> None:
    """Write one recipe to the parts of a tensor or of a view of it."""
    recipe = write.recipe
    if isinstance(recipe, Copy | Compute):
        source = values_of(recipe, sources)
        for tensor, (region, shape) in parts:
            tensor.copy_(_box(source.expand(shape), region))
    elif isinstance(recipe, Constant):
        for tensor, _ in parts:
            tensor.fill_(recipe.value)
    elif isinstance(recipe, Apply):
        for tensor, _ in parts:
            operation(recipe.op)(tensor, *recipe.args, **dict(recipe.kwargs))
    else:
        fill_parts(parts, recipe, write.key)


def values_of(recipe: Copy | Compute, sources: Sources) -> Tensor:
    """The values that the recipe copies, in their own shape and dtype."""
    if isinstance(recipe, Copy):
        # Sources of other shapes or dtypes may have the same bytes, and so the same digest.
        held = sources[recipe.digest].reshape(-1).view(torch.uint8)
        return held.view(getattr(torch, recipe.dtype)).reshape(recipe.shape)

    def write(tensor: Tensor, given: Write) -> None:
        carry_out([Part(tensor, place(tensor, None, None))], given, sources)

    return evaluate(recipe, write)


def _box(tensor: Tensor, region: Region) -> Tensor:
    for dim, (start, size) in enumerate(zip(region.offset, region.sizes, strict=True)):
        tensor = tensor.narrow(dim, start, size)
    return tensor
