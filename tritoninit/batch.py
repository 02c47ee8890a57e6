"""Many fills together: on a GPU a launch for each kind of values, elsewhere one after another."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from tritoninit.backends.parts import LIMIT
from tritoninit.dtensor import Part
from tritoninit.fill import fill_parts
from tritoninit.layout import DTYPES, Placement
from tritoninit.orthogonal import Matrix, fill_matrices
from tritoninit.ready import ELEMENTWISE
from tritoninit.recipe import (
    Constant,
    Dirac,
    Eye,
    Orthogonal,
    Recipe,
    Sparse,
)
from tritoninit.region import Axis
from tritoninit.sampler import DType, Sampler, lower
from tritoninit.stream import Key

if TYPE_CHECKING:
    from tritoninit.backends.triton_table import Batch

DEVICES = ("cuda",)  # where there are launches to be saved
BY_SHAPE = (Eye, Dirac, Sparse)
FAR = ("tail", "tails")  # of float64 their 41 constants, loaded from a table, would spill
ZERO = Key(0)


class Job(NamedTuple):
    """A recipe for parts of one global tensor; ``key`` is None where nothing is drawn."""

    parts: list[Part]
    recipe: Recipe
    key: Key | None


def fill_many(jobs: Iterable[Job]) -> None:
    """Write every job, in any order: no two may share memory.

    What cannot be a run in a launch's table (strided memory, shards of columns, complex numbers,
    masks) is filled by itself.
    """
    batches: dict[torch.device, Batch] = {}
    written: list[Tensor] = []
    matrices: list[Job] = []
    for job in jobs:
        if isinstance(job.recipe, Orthogonal):
            matrices.append(job)
            continue
        alone = []
        for part in job.parts:
            if part.tensor.device.type in DEVICES and _add(batches, part, job.recipe, job.key):
                written.append(part.tensor)
            else:
                alone.append(part)
        if alone:
            fill_parts(alone, job.recipe, job.key)
    torch.autograd.graph.increment_version(written)  # first, as in ``fill``
    for device, batch in batches.items():
        batch.launch(device)
    _fill_orthogonal(matrices)


def _fill_orthogonal(jobs: list[Job]) -> None:
    """Whole matrices together: small ones share a GPU's launches, or the host's threads."""
    matrices: list[Matrix] = []
    for parts, recipe, key in jobs:
        if len(parts) == 1 and parts[0].placement.is_whole and key is not None:
            assert isinstance(recipe, Orthogonal)
            matrices.append(Matrix(parts[0].tensor, recipe.gain, key))
        else:
            fill_parts(parts, recipe, key)
    fill_matrices(matrices)
    torch.autograd.graph.increment_version([matrix.out for matrix in matrices])


def _add(batches: dict[torch.device, Batch], part: Part, recipe: Recipe, key: Key | None) -> bool:
    """Add a part to its device's batch; False where it cannot be in one."""
    tensor, placement = part
    run = _run(tensor, placement, recipe)
    if run is None:
        return False
    first, length, outer = run
    dtype = DTYPES.get(tensor.dtype)
    sampler, value = None, None
    if isinstance(recipe, Constant):
        value = recipe.value
    elif dtype is not None:
        sampler = _sampler(recipe, placement, dtype)
        if sampler is not None and sampler.kind == "constant":
            value = float(sampler.params[0])
    if sampler is None and (value is None or tensor.itemsize > 8):
        return False
    key, rows = key or ZERO, None
    if outer is not None:
        from tritoninit.backends.table import WORD, rows_of

        if sampler is None or not sampler.params or tensor.data_ptr() % WORD:
            return False
        rows = rows_of(first, length, outer.stride, outer.size, tensor.itemsize, key.offset)
        if rows is None:
            return False
        length *= outer.size
    batch = batches.get(tensor.device)
    if batch is None:
        from tritoninit.backends.triton_table import Batch

        batch = batches[tensor.device] = Batch()
    if value is not None:
        bits = _bits(value, repr(value), tensor.dtype)
        batch.add_constant(tensor.data_ptr(), length, tensor.itemsize, bits)
    elif sampler is not None and dtype is not None:
        batch.add(tensor.data_ptr(), first, length, key, sampler, dtype, rows)
    return True


def _run(
    tensor: Tensor, placement: Placement, recipe: Recipe
) -> tuple[int, int, Axis | None] | None:
    """(first global index, elements, rows) where the part is one run of contiguous memory.

    The rows are None where the elements are consecutive in the global tensor.
    """
    if tensor.is_conj() or tensor.is_neg() or tensor.is_quantized:
        return None
    if tensor.is_contiguous() and (placement.is_whole or isinstance(recipe, Constant)):
        return 0, tensor.numel(), None
    first, rows, span, length = placement.region.spans()
    if len(span) > 1 or (span[0].local != 1 and length > 1):
        return None
    if not rows:
        return first, length, None
    return (first, length, rows[0]) if len(rows) == 1 and rows[0].local == length else None


def _sampler(recipe: Recipe, placement: Placement, dtype: DType) -> Sampler | None:
    """What a table writes for the recipe; None where it cannot."""
    if isinstance(recipe, ELEMENTWISE):
        sampler = lower(recipe, (), dtype)
        return None if dtype.is_double and sampler.kind in FAR else sampler
    if not isinstance(recipe, BY_SHAPE):
        return None
    sampler = lower(recipe, placement.shape, dtype)
    if isinstance(recipe, Sparse) and sampler.kind != "constant":
        return None
    return sampler if max((0, *sampler.integers)) < LIMIT else None


@lru_cache(maxsize=1024)
def _bits(value: complex, text: str, dtype: torch.dtype) -> int:
    """The bits of a value that torch casts to the dtype; ``text`` tells -0.0 from 0.0."""
    element = torch.empty(1, dtype=dtype, device="cpu").fill_(value)
    return int.from_bytes(element.view(torch.uint8).numpy().tobytes(), sys.byteorder)
