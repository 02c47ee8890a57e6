"""Carrying out the writes of many tensors together, each tensor's in its own order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from operator import add
from typing import NamedTuple

from torch import Tensor

from tritoninit.batch import DEVICES, Job, fill_many
from tritoninit.dtensor import Part
from tritoninit.plan import Apply, Compute, Copy, Fill, Write
from tritoninit.recipe import Constant, Orthogonal
from tritoninit.writing import (
    Sources,
    carry_out,
    is_local,
    write_parts,
    write_whole,
    written_of_parts,
    written_of_whole,
)

Held = Tensor | list[Part]  # a planned tensor, or the parts of it that a rank holds
VALUES = (Apply, Compute, Copy)  # recipes that read values, here or elsewhere


class _Wave(NamedTuple):
    """Writes that may go in any order: no two touch the same memory."""

    jobs: list[Job]
    others: list[Callable[[], None]]


def write_all(
    held: Iterable[tuple[Fill, Held]], sources: Sources, advance: Callable[[int], object]
) -> None:
    """Write every tensor; ``advance`` is told of the bytes that are done, or under way.

    On the host one tensor follows the other, those with orthogonal matrices last, which are
    shared out among threads where they are small.  On a GPU the tensors' first writes share
    launches, then their second ones, and so on; a write that touches none of the memory of the
    one before it shares its launch.  Constants that a tensor ends with come last, all at once:
    of a model whose embeddings have a padding row, too, they are one launch.
    """
    waves: list[_Wave] = []
    ends: list[Job] = []
    for entry, what in held:
        if _is_batched(entry, what):
            _enter(waves, ends, entry, what, sources)
        elif isinstance(what, Tensor):
            write_whole(entry, what, sources)
        else:
            write_parts(entry, what, sources)
        advance(entry.nbytes)
    if ends:
        waves[-1].jobs.extend(ends)
    for jobs, others in waves:
        fill_many(jobs)
        for other in others:
            other()


def _is_batched(entry: Fill, what: Held) -> bool:
    for write in entry.writes:
        if isinstance(write.recipe, Orthogonal):
            return True
    if isinstance(what, Tensor):
        return what.device.type in DEVICES
    return any(part.tensor.device.type in DEVICES for part in what)


def _enter(waves: list[_Wave], ends: list[Job], entry: Fill, what: Held, sources: Sources) -> None:
    """Put a tensor's writes into the first waves that their order allows."""
    if not isinstance(what, Tensor) and not is_local(entry):
        _wave(waves, 0).others.append(partial(write_parts, entry, what, sources))
        return
    at, low, high = 0, 0, 0  # the tensor's last wave, and the memory that it has written there
    last = len(entry.writes) - 1
    for index, write in enumerate(entry.writes):
        parts = _written(entry, write, what)
        if not parts:
            continue
        begin, end = _extent(parts) if last else (0, 0)
        if begin < high and low < end:
            at, low, high = at + 1, begin, end
        elif low == high:
            low, high = begin, end
        else:
            low, high = min(low, begin), max(high, end)
        wave = _wave(waves, at)
        if isinstance(write.recipe, VALUES):
            wave.others.append(partial(carry_out, parts, write, sources))
            continue
        is_end = index == last and isinstance(write.recipe, Constant)
        (ends if is_end else wave.jobs).append(Job(parts, write.recipe, write.key))


def _wave(waves: list[_Wave], at: int) -> _Wave:
    while len(waves) <= at:
        waves.append(_Wave([], []))
    return waves[at]


def _written(entry: Fill, write: Write, what: Held) -> list[Part]:
    if isinstance(what, Tensor):
        return written_of_whole(write, what)
    return written_of_parts(entry, write, [part for part in what if part.placement.region.numel])


def _extent(parts: list[Part]) -> tuple[int, int]:
    """The stretch of the tensor's storage, in elements, that the parts lie in."""
    begins = [int(part.tensor.storage_offset()) for part in parts]
    lengths = [part.placement.region.extent for part in parts]
    return min(begins), max(map(add, begins, lengths))
