"""The words that the library draws, in the orders in which a user's model might line them up.

A stream is a function from the index of a part to its PART words, so that any test, in this
process or behind a pipe, can take as many as it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from tests.battery.keyed import Keys, Words, hashes
from tritoninit.backends import host_backend
from tritoninit.generator import DRAWN
from tritoninit.sparse import mask_key
from tritoninit.stream import Key, parameter_key

PART = 1 << 20  # words
SEED = 0
NAME = "layers.0.attn.wq.weight"
COLUMNS = 4096  # of the matrices that are read along columns and in shards
RANKS = 8
STREAMS = 4096  # interleaved
BLOCKS = 4  # of 4 words, taken of every key where names have to be hashed
MODULES = (
    *("attn.wq", "attn.wk", "attn.wv", "attn.wo", "mlp.w1", "mlp.w2", "mlp.w3"),
    *(f"mlp.experts.{i}.w1" for i in range(9)),
)


@dataclass(frozen=True)
class Stream:
    """A name, what it is made of, and its parts."""

    name: str
    made: str
    part: Callable[[int], Words]

    def words(self, count: int) -> Words:
        """The first words; a multiple of PART."""
        return np.concatenate([self.part(index) for index in range(count // PART)])


def parameter(index: int) -> str:
    """The name of parameter ``index`` of a model of many layers."""
    layer, module = divmod(index, len(MODULES))
    return f"layers.{layer}.{MODULES[module]}.weight"


def rows(key: Key, first: int, length: int, count: int, stride: int) -> Words:
    """``count`` rows of ``length`` elements, through the backend that fills tensors."""
    return host_backend().words(key, first, length, count, stride).reshape(-1)


def elements(index: int) -> Words:
    return rows(parameter_key(SEED, NAME), index * PART, PART, 1, 0)


def columns(index: int) -> Words:
    return rows(parameter_key(SEED, NAME), index, 1, PART, COLUMNS)


def mask(index: int) -> Words:
    return rows(mask_key(parameter_key(SEED, NAME)), index, 1, PART, COLUMNS)


def shards(index: int) -> Words:
    """A rank's columns of as many rows as make a part; then the next rank's."""
    band, rank = divmod(index, RANKS)
    width = COLUMNS // RANKS
    height = PART // width
    first = band * height * COLUMNS + rank * width
    return rows(parameter_key(SEED, NAME), first, width, height, COLUMNS)


def lane(number: int) -> Callable[[int], Words]:
    def part(index: int) -> Words:
        return rows(parameter_key(SEED, NAME), 2 * index * PART + number, 1, PART, 2)

    return part


def names(index: int) -> Words:
    count = PART // (4 * BLOCKS)
    keys = Keys.repeated(Key(SEED), count)
    wanted = range(index * count, (index + 1) * count)
    return keys.fold_in(hashes(map(parameter, wanted))).words(BLOCKS)


def draws(index: int) -> Words:
    count = PART // 4
    ordinals = np.arange(1, count + 1, dtype=np.uint64) + np.uint64(index * count)
    return Keys.repeated(parameter_key(SEED, NAME), count).fold_in(ordinals).words(1)


def seeds(index: int) -> Words:
    return Keys.of_seeds(index * (PART // 4), PART // 4).words(1)


def models(index: int) -> Words:
    count = PART // 4
    name = np.full(count, hashes([NAME])[0])
    return Keys.of_seeds(index * count, count).fold_in(name).words(1)


@lru_cache
def _drawn(index: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The generator's 64-bit words of a part, and its state afterwards."""
    generator = torch.Generator().manual_seed(SEED)
    if index:
        generator.set_state(_drawn(index - 1)[1])
    words = torch.empty(PART // (4 * BLOCKS), dtype=torch.int64)
    words.random_(-(2**63), None, generator=generator)
    return words, generator.get_state()


def calls(index: int) -> Words:
    """One call after the other with the same torch.Generator."""
    drawn = _drawn(index)[0].numpy().view(np.uint64)
    return Keys(drawn, np.full(drawn.size, DRAWN, np.uint64)).words(BLOCKS)


def interleaved(keys: list[Key]) -> Callable[[int], Words]:
    """Element 0 of every key, then element 1 of every key, ..."""

    def part(index: int) -> Words:
        each = PART // len(keys)
        columns = [rows(key, index * each, each, 1, 0) for key in keys]
        return np.stack(columns, axis=1).reshape(-1)

    return part


def reversed_bits(part: Callable[[int], Words]) -> Callable[[int], Words]:
    def turned(index: int) -> Words:
        swapped = part(index).byteswap()
        for shift, low in ((4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555)):
            keep = np.uint32(low)
            swapped = (swapped >> np.uint32(shift)) & keep | (swapped & keep) << np.uint32(shift)
        return swapped

    return turned


def all_streams() -> list[Stream]:
    by_name = interleaved([parameter_key(SEED, parameter(i)) for i in range(STREAMS)])
    by_seed = interleaved([parameter_key(seed, NAME) for seed in range(STREAMS)])
    by_draw = interleaved([parameter_key(SEED, NAME, draw) for draw in range(STREAMS)])
    return [
        Stream("elements", "consecutive elements of one tensor", elements),
        Stream("reversed", "the same, each word from its lowest bit up", reversed_bits(elements)),
        Stream("even elements", "elements 0, 2, 4, ...: the radius words of normals", lane(0)),
        Stream("odd elements", "elements 1, 3, 5, ...: their angle words", lane(1)),
        Stream("columns", f"down the columns of a matrix of {COLUMNS}", columns),
        Stream("mask", "down the columns of sparse_'s mask", mask),
        Stream("shards", f"the column shards of {RANKS} ranks, one after the other", shards),
        Stream("names", f"the first {4 * BLOCKS} elements of every parameter of a model", names),
        Stream("draws", "the first 4 elements of draws 1, 2, ... of a parameter", draws),
        Stream("seeds", "the first 4 elements under Key(0), Key(1), ...", seeds),
        Stream("models", "the first 4 elements of a parameter under seeds 0, 1, ...", models),
        Stream("calls", f"the first {4 * BLOCKS} elements of calls with a torch.Generator", calls),
        Stream("names interleaved", f"element i of {STREAMS} parameters, i = 0, 1, ...", by_name),
        Stream("seeds interleaved", f"element i under {STREAMS} seeds, i = 0, 1, ...", by_seed),
        Stream("draws interleaved", f"element i of {STREAMS} draws, i = 0, 1, ...", by_draw),
        Stream(
            "names interleaved, reversed",
            "the same as names interleaved, each word from its lowest bit up",
            reversed_bits(by_name),
        ),
    ]
