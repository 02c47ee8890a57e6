"""Interleaved timing: every contestant takes its turn in every round, in rotated order.

A sample is the time of a loop of calls divided by their number; the loop is as long as the
clock needs.  Medians are compared, and the quartiles and the least sample stand beside them.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from benchmarks.common import reason

LOOP_S = {"cpu": 1e-3, "cuda": 5e-3}  # the least length of a sample, far above the clock's noise
BUDGET_S = 0.4  # what one contestant may take in a case, beyond its least number of rounds
ROUNDS = (3, 15)  # the least and the most


@dataclass(frozen=True)
class Contestant:
    """What is timed.

    ``finish`` waits for the result of the last call; None means that the work is done when the
    call returns or runs on torch's current CUDA stream, where events time it.  ``prepare`` runs
    before every sample and is not timed; a sample is then one call.
    """

    name: str
    call: Callable[[], Any]
    finish: Callable[[Any], Any] | None = None
    prepare: Callable[[], Any] | None = None


@dataclass(frozen=True)
class Timing:
    """Seconds a call: ``rounds`` samples of ``loops`` calls each."""

    median_s: float
    min_s: float
    q1_s: float
    q3_s: float
    rounds: int
    loops: int


def _sample(contestant: Contestant, loops: int, device: torch.device) -> float:
    call = contestant.call
    if contestant.prepare is not None:
        contestant.prepare()
    if device.type == "cuda" and contestant.finish is None:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize(device)
        begin.record()
        for _ in range(loops):
            call()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) * 1e-3 / loops
    started = time.perf_counter()
    for _ in range(loops):
        result = call()
    if contestant.finish is not None:
        contestant.finish(result)
    return (time.perf_counter() - started) / loops


def _calibrate(contestant: Contestant, device: torch.device, quick: bool) -> tuple[int, int]:
    """(loops, rounds), after a first call that compiles, allocates and touches the pages."""
    _sample(contestant, 1, device)
    loops, least = 1, LOOP_S[device.type]
    seconds = _sample(contestant, loops, device)
    while seconds * loops < least and contestant.prepare is None:
        loops = max(2 * loops, math.ceil(1.2 * least / seconds))
        seconds = _sample(contestant, loops, device)
    fewest, most = ROUNDS
    rounds = fewest if quick else max(fewest, min(most, int(BUDGET_S / (seconds * loops))))
    return loops, rounds


def runnable(
    contestants: Sequence[Contestant], skipped: dict[str, str], where: str
) -> list[Contestant]:
    """Those whose first call succeeds; the others are put into ``skipped`` with the reason.

    Raises:
        Exception: what the first contestant raises; it is not a peer.
    """
    found = []
    for contestant in contestants:
        if contestant.prepare is not None:
            contestant.prepare()
        try:
            result = contestant.call()
            if contestant.finish is not None:
                contestant.finish(result)
        except torch.OutOfMemoryError:
            skipped[f"{contestant.name}, {where}"] = "out of memory"
            torch.cuda.empty_cache()
        except Exception as error:
            if contestant is contestants[0] or isinstance(error, torch.AcceleratorError):
                raise
            skipped[f"{contestant.name}, {where}"] = reason(error)
        else:
            found.append(contestant)
    return found


def interleave(
    contestants: Sequence[Contestant], device: torch.device, quick: bool = False
) -> dict[str, Timing]:
    """The timings of all contestants, measured in turns.

    A slow contestant sits out some rounds, evenly spread; ``quick`` takes the fewest rounds.
    """
    plans = {c.name: _calibrate(c, device, quick) for c in contestants}
    samples: dict[str, list[float]] = {c.name: [] for c in contestants}
    turns = max(rounds for _, rounds in plans.values())
    for turn in range(turns):
        start = turn % len(contestants)
        for contestant in (*contestants[start:], *contestants[:start]):
            loops, rounds = plans[contestant.name]
            if (turn + 1) * rounds // turns > turn * rounds // turns:
                samples[contestant.name].append(_sample(contestant, loops, device))
    return {name: _summary(times, plans[name][0]) for name, times in samples.items()}


def _summary(times: list[float], loops: int) -> Timing:
    q1, median, q3 = statistics.quantiles(times, n=4, method="inclusive")
    return Timing(median, min(times), q1, q3, len(times), loops)


def busy(contestant: Contestant, device: torch.device) -> float | None:
    """Seconds that a GPU's kernels run in one call, without the gaps between them."""
    if device.type != "cuda":
        return None
    if contestant.prepare is not None:
        contestant.prepare()
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        contestant.call()
        torch.cuda.synchronize(device)
    # Not ``profile.events()``, which makes some 20 us of Python of each of 100,000 events.
    events = profile.profiler.kineto_results.events()
    on_gpu = torch.autograd.DeviceType.CUDA
    kernels = [event.duration_ns() for event in events if event.device_type() == on_gpu]
    return sum(kernels) * 1e-9 if kernels else None


def as_json(timings: dict[str, Timing]) -> dict[str, dict[str, float]]:
    """Timings by contestant, as plain numbers."""
    return {name: asdict(timing) for name, timing in timings.items()}


def duration(seconds: float) -> str:
    """Three digits and a unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
