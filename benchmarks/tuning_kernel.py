"""A fill whose launch choices are arguments: whole tensors that whole tiles make up.

The samples are those of ``kernels/tiles.py``, so the bits are the shipped kernels' whatever is
chosen.  Nothing but ``bench_tuning`` launches it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl

from tritoninit.backends.triton_ import BLOCK, REGISTERS, WARPS, compile_options, constants_of
from tritoninit.backends.triton_launch import launch
from tritoninit.kernels.tiles import rounded, tile_values
from tritoninit.recipe import Recipe
from tritoninit.sampler import DType, lower
from tritoninit.stream import Key


class Choice(NamedTuple):
    """How a fill is launched.

    block: counters a program, of four elements each.  registers: a thread at most.  cache and
    evict: the store's hints.  resident: programs an SM, each of which takes many tiles; 0: a
    program for each tile.
    """

    block: int = BLOCK
    warps: int = WARPS
    registers: int = REGISTERS
    cache: str = ""
    evict: str = ""
    resident: int = 0

    def __str__(self) -> str:
        hints = "".join(f", {hint}" for hint in (self.cache, self.evict) if hint)
        tiles = f", {self.resident} programs an SM" if self.resident else ""
        return (
            f"{self.block} counters, {self.warps} warps, {self.registers} registers{hints}{tiles}"
        )


@triton.jit(do_not_specialize=["tiles", "programs", "seed", "offset"])
def fill_tiles(
    out,
    tiles: tl.int64,
    programs: tl.int64,
    seed: tl.uint64,
    offset: tl.uint64,
    constants,
    KIND: tl.constexpr,
    BLOCK: tl.constexpr,
    CACHE: tl.constexpr,
    EVICT: tl.constexpr,
    RESIDENT: tl.constexpr,
):
    """Fill ``tiles`` tiles of BLOCK counters; a program takes one, with RESIDENT several."""
    seed = seed.to(tl.uint64)
    TILE: tl.constexpr = 4 * BLOCK
    LANES: tl.constexpr = 8 if out.dtype.element_ty.primitive_bitwidth == 16 else 4
    lanes = tl.arange(0, TILE)
    block = tl.arange(0, TILE // LANES).to(tl.uint32) * (LANES // 4)
    tile = tl.program_id(0).to(tl.int64)
    if RESIDENT:
        step, end = programs.to(tl.int64), tiles.to(tl.int64)
    else:
        step, end = 1, tile + 1
    while tile < end:
        counter = offset.to(tl.uint64) + (tile * BLOCK).to(tl.uint64)
        values = tile_values(counter, block, 0, lanes, seed, constants, 1, 1, 1, 0, KIND, False)
        values = rounded(values, out.dtype.element_ty)
        place = tl.multiple_of(out + tile * TILE, 16) + lanes
        tl.store(place, values, cache_modifier=CACHE, eviction_policy=EVICT)
        tile += step


def fill(
    out: torch.Tensor, recipe: Recipe, key: Key, dtype: DType, choice: Choice, processors: int
) -> None:
    """Write ``recipe`` into a flat tensor of whole tiles, at a multiple of 16 bytes.

    processors: of the device, for ``resident``.  The elements are below 2**31, and so are their
    counters' low halves.
    """
    sampler = lower(recipe, (), dtype)
    tiles = out.numel() // (4 * choice.block)
    programs = min(tiles, choice.resident * processors) if choice.resident else tiles
    arguments: dict[str, Any] = dict(
        out=out,
        tiles=tiles,
        programs=programs,
        seed=key.seed,
        offset=key.offset,
        constants=constants_of(sampler, False),
        KIND=sampler.kind,
        BLOCK=choice.block,
        CACHE=choice.cache,
        EVICT=choice.evict,
        RESIDENT=bool(choice.resident),
        **compile_options(),
    )
    chosen = {"num_warps": choice.warps, "maxnreg": choice.registers}
    arguments |= {name: value for name, value in chosen.items() if name in arguments}
    launch(fill_tiles, programs, arguments)
