"""One fill: a recipe and a key written into a tensor, on the backend of its device."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from tritoninit.backends import host_backend
from tritoninit.backends.host import fill as host_fill
from tritoninit.backends.host import fill_contiguous, keep_mask
from tritoninit.dtensor import Part
from tritoninit.layout import DTYPES, Placement, is_whole, place, storage_view
from tritoninit.orthogonal import Matrix, fill_matrices, orthogonal
from tritoninit.ready import ELEMENTWISE, ready
from tritoninit.recipe import (
    Constant,
    Dirac,
    Eye,
    Normal,
    Orthogonal,
    Recipe,
    Sparse,
)
from tritoninit.region import Region
from tritoninit.sampler import DType, Sampler, lower
from tritoninit.small import fill_at_once
from tritoninit.stream import Key

CHUNK = 1 << 18  # elements moved at once where values are computed on the host
BITS = {DType.BFLOAT16: torch.uint16, DType.FLOAT16: torch.uint16}
INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def fill(
    tensor: Tensor, recipe: Recipe, key: Key | None, placement: Placement | None = None
) -> None:
    """Write ``recipe`` into ``tensor``, which is plain memory on any device.

    The caller has checked that the tensor may be written.  ``key`` is None for recipes that
    are not random.  The tensor's version counter is bumped.
    """
    whole = tensor.is_cpu and (placement is None or placement.is_whole)
    short = whole and key is not None and is_whole(tensor)
    if short and fill_at_once(tensor, ready(recipe, tensor.dtype), key):
        return
    torch.autograd.graph.increment_version(tensor)  # first: what interrupts the writes is no excuse
    if not (whole and _fill_whole(tensor, recipe, key)):
        region, shape = placement or place(tensor, None, None)
        if not region.numel:
            pass
        elif isinstance(recipe, Constant):
            tensor.detach().fill_(recipe.value)
        elif isinstance(recipe, Orthogonal):
            _fill_orthogonal(tensor, recipe, key, shape, region)
        elif tensor.is_conj() or tensor.is_neg():
            _fill_lazy(tensor.detach(), recipe, key, Placement(region, shape))
        elif tensor.is_complex() and recipe.is_random:
            _fill_complex(tensor, recipe, key, shape, region)
        else:
            _fill_memory(tensor, recipe, key, shape, region)


def fill_parts(parts: list[Part], recipe: Recipe, key: Key | None) -> None:
    """Write ``recipe`` into parts of one global tensor, none of which need be contiguous in it.

    What is computed on the whole tensor (orthogonal) is computed once, and not at all by a rank
    that holds nothing.
    """
    if isinstance(recipe, Orthogonal) and len(parts) > 1:
        shape, device = parts[0].placement.shape, parts[0].tensor.device
        matrix = orthogonal(shape, recipe.gain, _random(key), device, parts[0].tensor.dtype)
        for part in parts:
            _keep(part.tensor, matrix, part.placement.region)
        return
    for tensor, placement in parts:
        fill(tensor, recipe, key, placement)


def _fill_whole(tensor: Tensor, recipe: Recipe, key: Key | None) -> bool:
    """The common cases on the host, a short way; False where the tensor is not one."""
    if isinstance(recipe, ELEMENTWISE):
        dtype = DTYPES.get(tensor.dtype)
        if dtype is None:
            return False
        sampler = lower(recipe, (), dtype)
        local = tensor.detach()
        if sampler.kind == "constant":
            local.fill_(float(sampler.params[0]))
        elif local.is_contiguous() and not local.is_neg():
            _write_contiguous(local, sampler, _random(key), dtype)
        else:
            return False
        return True
    if isinstance(recipe, Orthogonal) and tensor.numel():
        fill_matrices([Matrix(tensor, recipe.gain, _random(key))])
        return True
    if isinstance(recipe, (Eye, Dirac)) and tensor.numel():
        shape = tuple(tensor.shape)
        _write_diagonal(tensor.detach(), lower(recipe, shape, DType.FLOAT32))
        return True
    return False


def _write_contiguous(local: Tensor, sampler: Sampler, key: Key, dtype: DType) -> None:
    bits = local.view(BITS[dtype]) if dtype in BITS else local
    flat = bits.numpy().reshape(-1)
    fill_contiguous(host_backend(), flat, key, sampler, dtype, torch.get_num_threads())


def _fill_memory(
    tensor: Tensor, recipe: Recipe, key: Key | None, shape: tuple[int, ...], region: Region
) -> None:
    dtype = DTYPES.get(tensor.dtype)
    if dtype is not None and runs_triton(tensor):
        from tritoninit.backends import triton_

        triton_.fill(storage_view(tensor, region), region, shape, recipe, key or Key(0), dtype)
        return
    sampler = lower(recipe, shape, dtype or DType.FLOAT32)
    if sampler.kind in ("constant", "diagonal"):
        _fill_pattern(tensor, sampler, region)
    elif dtype is None:
        raise TypeError(f"no random values of dtype {tensor.dtype}")
    elif tensor.device.type == "cpu":
        buffer = storage_view(tensor, region).view(BITS.get(dtype, tensor.dtype)).numpy()
        threads = torch.get_num_threads()
        host_fill(host_backend(), buffer, region, shape, recipe, _random(key), dtype, threads)
    else:
        _fill_copy(tensor, recipe, key, shape, region)


def runs_triton(tensor: Tensor) -> bool:
    """Whether the tensor's memory is filled by the Triton kernels."""
    return tensor.device.type == "cuda"


def _random(key: Key | None) -> Key:
    if key is None:
        raise TypeError("a random recipe needs a key")
    return key


def _fill_orthogonal(
    tensor: Tensor, recipe: Orthogonal, key: Key | None, shape: tuple[int, ...], region: Region
) -> None:
    """The whole matrix is computed; the part that the region holds is kept."""
    whole = orthogonal(shape, recipe.gain, _random(key), tensor.device, tensor.dtype)
    _keep(tensor, whole, region)


def _keep(tensor: Tensor, matrix: Tensor, region: Region) -> None:
    """Copy the part of the whole matrix that the region holds."""
    box = matrix.reshape(region.global_shape)
    for dim, (low, size) in enumerate(zip(region.offset, region.sizes, strict=True)):
        box = box.narrow(dim, low, size)
    tensor.detach().copy_(box)


def _write_diagonal(local: Tensor, sampler: Sampler) -> None:
    """eye and dirac of a whole tensor: within a group the ones are one row and channel apart."""
    local.zero_()
    if local.dim() == 2:
        local.fill_diagonal_(1)
        return
    _, channels, rows, _ = sampler.integers
    sizes, steps = local.shape, local.stride()
    at = local.storage_offset()
    for size, step in zip(sizes[2:], steps[2:], strict=True):
        at += size // 2 * step
    groups, ones = sizes[0] // rows, min(rows, channels)
    local.as_strided((groups, ones), (rows * steps[0], steps[0] + steps[1]), at).fill_(1)


def _fill_pattern(tensor: Tensor, sampler: Sampler, region: Region) -> None:
    """Constants and diagonals with torch's own operations: any dtype, any device."""
    local = tensor.detach()
    if sampler.kind == "constant":
        local.fill_(float(sampler.params[0]))
        return
    if region.sizes == region.global_shape and len(region.sizes) > 1:
        _write_diagonal(local, sampler)
        return
    local.zero_()
    period, channels, rows, centre = sampler.integers
    outer = math.prod(region.global_shape) // (period * channels)
    flat = storage_view(tensor, region)
    one = torch.ones(1, dtype=tensor.dtype, device="cpu")
    if bits := INTEGERS.get(tensor.itemsize):  # index_fill_ lacks float8 and unsigned dtypes
        flat, one = flat.view(bits), one.view(bits)
    for top in range(0, outer, CHUNK):
        o = np.arange(top, min(top + CHUNK, outer), dtype=np.int64)
        i = o % rows
        places = region.locate(((o * channels + i) * period + centre)[i < channels])
        flat.index_fill_(0, torch.from_numpy(places).to(tensor.device), one.item())


def _fill_complex(
    tensor: Tensor, recipe: Recipe, key: Key | None, shape: tuple[int, ...], region: Region
) -> None:
    """Real and imaginary parts as neighbouring elements; a normal's std is split, as in torch."""
    parts = Region(
        (*region.global_shape, 2),
        (*region.offset, 0),
        (*region.sizes, 2),
        (*(2 * stride for stride in region.strides), 1),
    )
    real = torch.view_as_real(tensor.detach())
    if isinstance(recipe, Sparse):
        _fill_memory(real, Normal(0.0, recipe.std / math.sqrt(2)), key, (*shape, 2), parts)
        if runs_triton(tensor):
            from tritoninit.backends import triton_

            each = Region(region.global_shape, region.offset, region.sizes, parts.strides[:-1])
            views = [storage_view(view, each) for view in real.unbind(-1)]
            triton_.zero(views, each, shape, recipe, _random(key))
            return
        kept = torch.empty(tensor.shape, dtype=torch.float32, device="cpu")
        box = Region(region.global_shape, region.offset, region.sizes, tuple(kept.stride()))
        keep_mask(host_backend(), kept.view(-1).numpy(), box, shape, recipe, _random(key))
        tensor.detach().masked_fill_(kept.to(tensor.device) == 0, 0)  # 0 * inf would be NaN
        return
    if isinstance(recipe, Normal):
        recipe = Normal(recipe.mean, recipe.std / math.sqrt(2))
    _fill_memory(real, recipe, key, (*shape, 2), parts)


def _fill_lazy(tensor: Tensor, recipe: Recipe, key: Key | None, placement: Placement) -> None:
    """A conjugated or negated view: its memory is filled, then conjugated or negated."""
    if tensor.is_conj():
        memory = tensor.conj()
        fill(memory, recipe, key, placement)
        torch.view_as_real(memory).select(-1, 1).neg_()
    else:
        memory = torch._neg_view(tensor)
        fill(memory, recipe, key, placement)
        memory.neg_()


def _fill_copy(
    tensor: Tensor, recipe: Recipe, key: Key | None, shape: tuple[int, ...], region: Region
) -> None:
    """Devices that no kernel writes: slices are made on the host and copied."""
    step = max(1, CHUNK // max(1, math.prod(region.sizes[1:])))
    local = tensor.detach()
    if local.dim() == 0:
        step = 1
    for top in range(0, region.sizes[0] if region.sizes else 1, step):
        part = local[top : top + step] if region.sizes else local
        sizes = tuple(part.shape)
        host = torch.empty(sizes, dtype=tensor.dtype, device="cpu")
        offset = (region.offset[0] + top, *region.offset[1:]) if region.sizes else ()
        box = Region(region.global_shape, offset, sizes, tuple(host.stride()))
        fill(host, recipe, key, Placement(box, shape))
        part.copy_(host)
