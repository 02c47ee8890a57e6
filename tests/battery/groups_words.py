"""The battery's groups that look at words: our own tests, and those of others."""

from __future__ import annotations

import functools
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import TypeVar

from tests.battery import external
from tests.battery.policy import QUICK, Outcome, uniformity_p
from tests.battery.streams import Stream, all_streams
from tests.battery.word_tests import TESTS

Item = TypeVar("Item")

WORDS = 1 << 26  # of each stream
# The words of other streams in another order, so that their p-values are not independent.
REORDERED = ("reversed", "shards", "names interleaved, reversed")
PRACTRAND = 1 << 29  # bytes of each stream
PRACTRAND_QUICK = 1 << 26
# Good by dieharder's own word, and done in seconds; with the options each needs.
DIEHARDER: dict[int, tuple[str, ...]] = {
    **dict.fromkeys((0, 3, 4, 8, 9, 10, 11, 12, 15, 16, 100, 101, 102), ()),
    200: ("-n", "3"),
    202: ("-n", "4"),
    **dict.fromkeys((205, 206, 207, 208, 209), ()),
}
DIEHARDER_QUICK = (8, 100, 206)
DIEHARDER_STREAMS = ("names interleaved", "seeds interleaved")
CRUSH_TESTS = 96
CRUSH_STREAMS = ("names interleaved",)


def in_parallel(run: Callable[[Item], list[Outcome]], items: list[Item]) -> Iterator[Outcome]:
    """Programs of others, one a core; this process feeds them."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for outcomes in pool.map(run, items):
            yield from outcomes


def _own(name: str, count: int) -> list[Outcome]:
    stream = next(stream for stream in all_streams() if stream.name == name)
    words = stream.words(count)
    return [Outcome(name, test, count, run(words)) for test, run in TESTS.items()]


def words(quick: bool) -> Iterator[Outcome]:
    """The tests of ``word_tests``, and whether their p-values are uniform on the whole.

    (Nearly independent: some tests see a part of what others see.)
    """
    count = WORDS // QUICK // 4 if quick else WORDS
    names = [stream.name for stream in all_streams()]
    cores = len(os.sched_getaffinity(0))
    context = multiprocessing.get_context("spawn")  # a fork would copy torch's threads
    found: list[float] = []
    with ProcessPoolExecutor(cores, mp_context=context) as pool:
        for outcomes in pool.map(functools.partial(_own, count=count), names):
            if outcomes[0].subject not in REORDERED:
                found += [outcome.p for outcome in outcomes if outcome.test != "repeats"]
            yield from outcomes
    yield Outcome("all streams", "uniformity of the p-values", len(found), uniformity_p(found))


def small_crush(quick: bool) -> Iterator[Outcome]:
    """TestU01's SmallCrush of every stream."""
    library = external.testu01()
    if library is None:
        raise FileNotFoundError("TestU01's library is not installed; TESTU01 may say where it is")

    def run(stream: Stream) -> list[Outcome]:
        found = external.crush(library, "SmallCrush", stream)
        return [Outcome(stream.name, test, None, p) for test, p in found]

    streams = all_streams()
    return in_parallel(run, streams[:1] if quick else streams)


def crush(quick: bool) -> Iterator[Outcome]:
    """TestU01's Crush, each test from the beginning of the stream."""
    library = external.testu01()
    if library is None:
        raise FileNotFoundError("TestU01's library is not installed; TESTU01 may say where it is")

    def run(item: tuple[Stream, int]) -> list[Outcome]:
        stream, number = item
        found = external.crush(library, "Crush", stream, number)
        return [Outcome(stream.name, test, None, p) for test, p in found]

    streams = [stream for stream in all_streams() if stream.name in CRUSH_STREAMS]
    numbers = range(1, 3 if quick else CRUSH_TESTS + 1)
    return in_parallel(run, [(stream, number) for stream in streams for number in numbers])


def practrand(quick: bool) -> Iterator[Outcome]:
    """PractRand's standard tests of every stream: one p-value each, by Bonferroni's rule."""
    program = shutil.which("RNG_test")
    if program is None:
        raise FileNotFoundError("PractRand's RNG_test is not on PATH")
    size = PRACTRAND_QUICK if quick else PRACTRAND

    def run(stream: Stream) -> list[Outcome]:
        found = external.practrand(program, stream, f"{size >> 20}MB")
        test, least = min(found, key=lambda one: one[1])
        combined = min(1.0, len(found) * least)
        return [Outcome(stream.name, f"least of {len(found)}, {test}", size // 4, combined)]

    streams = all_streams()
    return in_parallel(run, streams[:2] if quick else streams)


def dieharder(quick: bool) -> Iterator[Outcome]:
    """dieharder's tests of a few streams, each from the beginning of the stream."""
    program = shutil.which("dieharder")
    if program is None:
        raise FileNotFoundError("dieharder is not on PATH")

    def run(item: tuple[Stream, int]) -> list[Outcome]:
        stream, number = item
        found = external.dieharder(program, stream, number, *DIEHARDER[number])
        return [Outcome(stream.name, test, None, p) for test, p in found]

    streams = [stream for stream in all_streams() if stream.name in DIEHARDER_STREAMS]
    numbers = DIEHARDER_QUICK if quick else DIEHARDER
    return in_parallel(run, [(s, n) for s in streams[: 1 if quick else None] for n in numbers])
