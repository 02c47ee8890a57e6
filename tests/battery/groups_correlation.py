"""The battery's group that looks for correlation within and between tensors of normals."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from tests.battery.correlation import Between, Partners, Serial
from tests.battery.policy import QUICK, Outcome
from tests.battery.streams import NAME, SEED, parameter
from tritoninit import init
from tritoninit.stream import Key, parameter_key

SERIAL = 1 << 28
ROW = 4096  # elements of a matrix's row
PARTNERS = 1 << 28
STREAMS = 256
LENGTH = 1 << 20  # elements of each stream
CHUNK = 1 << 22


def standard_normals(count: int, key: Key, start: int, total: int) -> np.ndarray:
    """Elements start, start + 1, ... of a tensor of ``total``."""
    out = torch.empty(count)
    init.normal_(out, generator=key, global_shape=(total,), global_offset=start)
    return out.numpy()


def serial(quick: bool) -> Iterator[Outcome]:
    """Lags within one tensor."""
    total = SERIAL // QUICK if quick else SERIAL
    key = parameter_key(SEED, NAME)
    taken = Serial(ROW)
    for start in range(0, total, CHUNK):
        stretch = min(CHUNK + ROW, total - start)
        taken.add(standard_normals(stretch, key, start, total))
    for test, p in taken.p_values().items():
        yield Outcome(f"normal, a matrix of {ROW} columns", test, taken.terms, p)


def partners(quick: bool) -> Iterator[Outcome]:
    """The normals of a pair of words."""
    total = PARTNERS // QUICK if quick else PARTNERS
    taken = Partners()
    for start in range(0, total, CHUNK):
        taken.add(standard_normals(CHUNK, parameter_key(SEED, NAME), start, total))
    for test, p in taken.p_values().items():
        yield Outcome("normal, elements 2j and 2j + 1", test, taken.terms, p)


FAMILIES: dict[str, Callable[[int], Key]] = {
    "parameters of a model": lambda i: parameter_key(SEED, parameter(i)),
    "layers of one parameter": lambda i: parameter_key(SEED, f"layers.{i}.attn.wq.weight"),
    "seeds 0, 1, ...": lambda i: parameter_key(i, NAME),
    "bare keys of seeds 0, 1, ...": Key,
    "draws 0, 1, ...": lambda i: parameter_key(SEED, NAME, i),
}


def between(quick: bool) -> Iterator[Outcome]:
    """Every pair of neighbouring tensors, element by element; and of rows of one matrix."""
    length = LENGTH // QUICK if quick else LENGTH
    step = CHUNK // STREAMS
    for family, key in FAMILIES.items():
        keys = [key(i) for i in range(STREAMS)]
        taken = Between(STREAMS)
        for start in range(0, length, step):
            taken.add(np.stack([standard_normals(step, k, start, length) for k in keys]))
        for test, p in taken.p_values().items():
            yield Outcome(f"normal, {family}", test, taken.terms, p)
    taken = Between(STREAMS)
    for start in range(0, length, step):
        rows = [
            standard_normals(step, parameter_key(SEED, NAME), r * length + start, STREAMS * length)
            for r in range(STREAMS)
        ]
        taken.add(np.stack(rows))
    for test, p in taken.p_values().items():
        yield Outcome("normal, rows of one matrix", test, taken.terms, p)


def correlations(quick: bool) -> Iterator[Outcome]:
    """Within a tensor, between Box-Muller partners, between tensors."""
    yield from serial(quick)
    yield from partners(quick)
    yield from between(quick)
