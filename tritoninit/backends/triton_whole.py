"""A whole, contiguous tensor on a GPU: what does not depend on the call is worked out once.

A call then takes 1.5 us on the host beside the driver's share of a launch (Triton 3.7.1, 3 GHz);
``triton_.fill``, which finds out where the elements lie, takes fourteen times as long.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from triton.runtime import driver

from tritoninit.backends.parts import LIMIT
from tritoninit.backends.triton_ import BLOCK, block_elements, launch_arguments
from tritoninit.backends.triton_launch import ALIGNMENT, Start, arranged, compile_for, hooked
from tritoninit.kernels.fill import fill as fill_row
from tritoninit.recipe import Recipe
from tritoninit.region import Axis, Spans
from tritoninit.sampler import DType, lower
from tritoninit.stream import MASK32, Key

KEPT = 4096  # launches a recipe: of a pattern, one a shape
OUT, THRESHOLD, TIE, LENGTH, SIZE, SEED, OFFSET = map(
    fill_row.arg_names.index, ("out", "threshold", "tie", "length", "size3", "seed", "offset")
)


class Prepared(NamedTuple):
    """A compiled kernel and its arguments, complete but for the tensor and the key."""

    start: Start
    values: list[Any]
    elements: int  # a program


class Launches:
    """The launches that fill whole tensors with one recipe, of one dtype.

    ``shaped``: the recipe's values depend on the tensor's shape.
    """

    def __init__(self, recipe: Recipe, dtype: DType, shaped: bool) -> None:
        self.recipe, self.dtype, self.shaped = recipe, dtype, shaped
        self._each = 2 if dtype.is_double else 4  # elements that share a block of the stream
        self._prepared: dict[tuple[Any, ...], Prepared] = {}

    def fill(self, out: torch.Tensor, size: int, seed: int, offset: int) -> bool:
        """Write the recipe into a contiguous tensor of ``size`` elements.

        False, and nothing is written, where ``triton_.fill`` is the way.
        """
        device, active = out.get_device(), driver.active
        if not 0 < size < LIMIT or hooked(fill_row) or active.get_current_device() != device:
            return False
        address = out.data_ptr()
        aligned = address % ALIGNMENT == 0
        carry = (offset & MASK32) + size // self._each + BLOCK > MASK32
        name = (device, aligned, carry, out.shape if self.shaped else None)
        prepared = self._prepared.get(name)
        if prepared is None:
            prepared = self._prepare(out, Key(seed, offset), aligned, carry)
            if prepared is None:
                return False
            if len(self._prepared) >= KEPT:
                self._prepared.clear()
            self._prepared[name] = prepared
        start, values, elements = prepared
        values = values.copy()
        values[OUT] = values[THRESHOLD] = values[TIE] = address
        values[LENGTH] = values[SIZE] = size
        values[SEED], values[OFFSET] = seed, offset
        start(-(-size // elements), active.get_current_stream(device), values)
        return True

    def _prepare(self, out: torch.Tensor, key: Key, aligned: bool, carry: bool) -> Prepared | None:
        size, shape = out.numel(), tuple(out.shape) if self.shaped else ()
        sampler = lower(self.recipe, shape, self.dtype)
        spans = Spans(0, (), (Axis(size, 1, 1),), size)
        flat = out.detach().view(-1)
        kernel, _, arguments = launch_arguments(flat, spans, key, sampler, None)
        promised = tuple(arguments[name] for name in ("ALIGNED", "CARRY", "WIDE", "STRIDED"))
        start = compile_for(kernel, arguments)
        if start is None or kernel is not fill_row or promised != (aligned, carry, False, False):
            return None
        elements = block_elements(out, sampler) * arguments["BLOCK"]
        return Prepared(start, arranged(kernel, arguments), elements)
