"""A whole, contiguous tensor on a GPU: what does not depend on the call is worked out once.

A call then takes 3 us on the host beside the driver's share of a launch (Triton 3.7.1, 3 GHz);
``triton_.fill``, which finds out where the elements lie, takes five times as long.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from triton.compiler import CompiledKernel
from triton.runtime import driver

from tritoninit.backends.parts import LIMIT
from tritoninit.backends.triton_ import BLOCK, block_elements, launch_arguments
from tritoninit.backends.triton_launch import ALIGNMENT, arranged, compile_for, hooked, run
from tritoninit.kernels.fill import fill as fill_row
from tritoninit.recipe import Recipe
from tritoninit.region import Axis, Spans
from tritoninit.sampler import DType, Sampler, lower
from tritoninit.stream import Key

KEPT = 4096  # prepared launches; a model has some dozens of recipes


class Prepared(NamedTuple):
    """A compiled kernel and its arguments, complete but for the tensor and the key."""

    compiled: CompiledKernel
    values: list[Any]
    elements: int  # a program
    address: tuple[int, ...]  # where in ``values`` the tensor's address belongs
    size: tuple[int, ...]
    seed: int
    offset: int


_prepared: dict[tuple[Any, ...], Prepared] = {}


def fill(out: torch.Tensor, shape: tuple[int, ...], recipe: Recipe, key: Key, dtype: DType) -> bool:
    """Write a recipe into a contiguous tensor; ``shape`` is for ``lower``.

    False, and nothing is written, where ``triton_.fill`` is the way.
    """
    size, address, device = out.numel(), out.data_ptr(), out.get_device()
    if not 0 < size < LIMIT or hooked(fill_row) or driver.active.get_current_device() != device:
        return False
    aligned = address % ALIGNMENT == 0
    each = 2 if dtype.is_double else 4  # elements that share a block of the stream
    carry = key.offset >> 32 != key.offset + size // each + BLOCK >> 32
    name = (recipe, shape, dtype, device, aligned, carry)
    prepared = _prepared.get(name)
    if prepared is None:
        prepared = _prepare(out, lower(recipe, shape, dtype), key, aligned, carry)
        if prepared is None:
            return False
        if len(_prepared) >= KEPT:
            _prepared.clear()
        _prepared[name] = prepared
    values = prepared.values.copy()
    for at in prepared.address:
        values[at] = address
    for at in prepared.size:
        values[at] = size
    values[prepared.seed], values[prepared.offset] = key.seed, key.offset
    run(prepared.compiled, device, -(-size // prepared.elements), values)
    return True


def _prepare(
    out: torch.Tensor, sampler: Sampler, key: Key, aligned: bool, carry: bool
) -> Prepared | None:
    size = out.numel()
    spans = Spans(0, (), (Axis(size, 1, 1),), size)
    flat = out.detach().view(-1)
    kernel, _, arguments = launch_arguments(flat, spans, key, sampler, None)
    promised = tuple(arguments[name] for name in ("ALIGNED", "CARRY", "WIDE", "STRIDED"))
    compiled = compile_for(kernel, arguments)
    if compiled is None or kernel is not fill_row or promised != (aligned, carry, False, False):
        return None
    names = list(kernel.arg_names)
    return Prepared(
        compiled,
        arranged(kernel, arguments),
        block_elements(out, sampler) * arguments["BLOCK"],
        address=tuple(map(names.index, ("out", "threshold", "tie"))),
        size=tuple(map(names.index, ("length", "size3"))),
        seed=names.index("seed"),
        offset=names.index("offset"),
    )
