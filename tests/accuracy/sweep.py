"""The float32 samplers' errors over all 2**32 words, where one word decides.

    python -m tests.accuracy.sweep [--stride N] [--out FILE] [NAME ...]

Each sampler runs as numba compiles it; the exact value of a word comes from float64, by one step
of Newton's method from the sample where it is a quantile.  ``test_sweep.py`` holds that
reference against mpmath.  An error is in units of 2**-24 of the larger of 1 and the exact value
(absolute), or of the exact value (relative).  On 2 cores every word takes about 10 minutes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np

from tritoninit import STREAM_VERSION, sampling, truncated
from tritoninit.backends.numba_compile import compiled_scope
from tritoninit.recipe import TruncNormal
from tritoninit.sampler import DType, lower

UNIT = 2.0**-24
SMALL = 2.0**-10  # samples below it are left out of relative errors: float64 has too few digits
WORDS = 2**32
CHUNK = 2**24
COMPILED: dict[str, Any] = compiled_scope(sampling)
ROOT_HALF, ROOT_TAU = math.sqrt(0.5), math.sqrt(2 * math.pi)
RESULTS = Path(__file__).parent / "sweep.json"


class Worst(NamedTuple):
    """The largest errors in a range of words, and the words that have them."""

    absolute: float
    absolute_at: int
    relative: float
    relative_at: int


def compiled(function: Callable[..., Any]) -> Any:
    return numba.njit(nogil=True, error_model="numpy")(function)


@compiled
def exact_radius(word):
    """sqrt(-2 ln u), u = (word + 1/2) / 2**32, by the side of u that is exact and small."""
    u = (word + 0.5) * 2.0**-32
    v = (4294967295 - word + 0.5) * 2.0**-32
    return math.sqrt(-2 * math.log(u)) if u < 0.5 else math.sqrt(-2 * math.log1p(-v))


@compiled
def exact_direction(word):
    """cos t and sin t of t = pi f, f = (2 k + 1) / 2**32, k = (word - 1) mod 2**31."""
    f = (2 * ((word - 1) & 0x7FFFFFFF) + 1) * 2.0**-32
    return math.sin(math.pi * (0.5 - f)), math.sin(math.pi * min(f, 1 - f))


@compiled
def exact_quantile(z, u, v, alpha, beta):
    """The truncated normal's value at u = 1 - v, from a z nearby.

    u is the share of the interval below it, or where the interval has one tail the share beyond.
    """
    if alpha >= 0:
        side, near, far = 1.0, alpha, beta
        u, v = v, u
    elif beta <= 0:
        side, near, far = -1.0, -beta, -alpha
        u, v = v, u
    elif z < 0:  # the side that the sample is on has the small numbers
        side, near, far = -1.0, -alpha, -beta
    else:
        side, near, far = 1.0, alpha, beta
    wanted = math.erfc(near * ROOT_HALF) * v + math.erfc(far * ROOT_HALF) * u
    y = side * z
    survival = math.erfc(y * ROOT_HALF)
    slope = 2 * math.exp(-0.5 * y * y) / ROOT_TAU
    return side * (y + math.log(survival / wanted) * survival / slope)


def _sweep_radius(first: int, last: int, stride: int) -> Any:
    worst, at, relative, relative_at = 0.0, 0, 0.0, 0
    for word in range(first, last, stride):
        exact = exact_radius(word)
        error = abs(8 * np.float64(radius(np.uint64(word))) - exact)  # noqa: F821
        if error / max(1.0, exact) > worst:
            worst, at = error / max(1.0, exact), word
        if exact >= 0.125 and error / exact > relative:
            relative, relative_at = error / exact, word
    return worst, at, relative, relative_at


def _sweep_direction(first: int, last: int, stride: int) -> Any:
    worst, at, relative, relative_at = 0.0, 0, 0.0, 0
    for word in range(first, last, stride):
        c, s = direction(np.uint64(word))  # noqa: F821
        exact_c, exact_s = exact_direction(word)
        for got, exact in ((c, exact_c), (s, exact_s)):
            error = abs(0.125 * np.float64(got) - exact)
            if error > worst:
                worst, at = error, word
            if error / abs(exact) > relative:
                relative, relative_at = error / abs(exact), word
    return worst, at, relative, relative_at


def _sweep_quantile(
    first: int,
    last: int,
    stride: int,
    p: Any,
    alpha: float,
    beta: float,
    signed: bool,
    moved: float,
) -> Any:
    worst, at, relative, relative_at = 0.0, 0, 0.0, 0
    for word in range(first, last, stride):
        w = np.uint64(word)
        got = np.float64(sample(w, w, w, w, p)[0])  # noqa: F821
        index = word ^ 0x80000000 if signed else word
        u, v = (index + 0.5 + moved) * 2.0**-32, (4294967295 - index + 0.5 - moved) * 2.0**-32
        exact = exact_quantile(got, u, v, alpha, beta)
        error, size = abs(got - exact), abs(exact)
        if error / max(1.0, size) > worst:
            worst, at = error / max(1.0, size), word
        if size >= SMALL and error / size > relative:
            relative, relative_at = error / size, word
    return worst, at, relative, relative_at


SWEEPS: dict[str, tuple[float, float] | None] = {
    "radius of a normal": None,
    "direction of a normal": None,
    **{
        f"trunc_normal_ between {a:g} and {b:g}": (a, b)
        for a, b in (
            *((-2.0, 2.0), (-0.5, 1.5), (-3.0, 3.0), (-1.0, 3.05)),
            *((0.0, math.inf), (3.0, 5.0), (-10.0, -8.0), (-5.0, 4.0), (-math.inf, 0.5)),
        )
    },
}


def moved_by(alpha: float, beta: float) -> float:
    """How far the form `tails` moves its words, of one word, for the mean to lie between two."""
    part = truncated.two_tails(truncated.standardise(0.0, 1.0, alpha, beta), 32, 9)
    return float(-part.start / part.mass * WORDS - truncated.share_words(part).below)


def kernel(name: str) -> tuple[Callable[[int, int, int], Any], int]:
    """What sweeps a range of words for a sampler, and how many words there are."""
    scope = {**COMPILED, **globals()}

    def bound(function: Any, **names: Any) -> Any:
        made = type(function)(function.__code__, {**scope, **names}, function.__name__)
        return compiled(made)

    interval = SWEEPS[name]
    if interval is None:
        radial = name.startswith("radius")
        return bound(_sweep_radius if radial else _sweep_direction), WORDS if radial else WORDS // 2
    alpha, beta = interval
    sampler = lower(TruncNormal(0.0, 1.0, alpha, beta), (), DType.FLOAT32)
    sweep = bound(_sweep_quantile, sample=COMPILED[f"{sampler.kind}4"])
    signed = sampler.kind in ("rational", "log")  # the word is a signed number there
    moved = moved_by(alpha, beta) if sampler.kind == "tails" else 0.0
    params = tuple(sampler.params)

    def run(first: int, last: int, stride: int) -> Any:
        return sweep(first, last, stride, params, alpha, beta, signed, moved)

    return run, WORDS


def measured(name: str, stride: int, threads: int) -> Worst:
    """The largest errors over every ``stride``-th word."""
    run, words = kernel(name)
    run(0, 1, 1)  # compiles
    chunks = [
        (first, min(first + CHUNK * stride, words)) for first in range(0, words, CHUNK * stride)
    ]
    with ThreadPoolExecutor(threads) as pool:
        found = [Worst(*part) for part in pool.map(lambda chunk: run(*chunk, stride), chunks)]
    absolute = max(found, key=lambda part: part.absolute)
    relative = max(found, key=lambda part: part.relative)
    return Worst(
        absolute.absolute / UNIT,
        absolute.absolute_at,
        relative.relative / UNIT,
        relative.relative_at,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.accuracy.sweep", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="part of a sampler's name")
    parser.add_argument("--stride", type=int, default=1, help="take every N-th word")
    parser.add_argument("--out", type=Path, help=f"where the results go, such as {RESULTS.name}")
    options = parser.parse_args()
    results = []
    print("| sampler | absolute | at word | relative | at word |\n|---|--:|---|--:|---|")
    for name in SWEEPS:
        if options.names and not any(part in name for part in options.names):
            continue
        begun = time.time()
        worst = measured(name, options.stride, os.cpu_count() or 1)
        print(
            f"| {name} | {worst.absolute:.2f} | {worst.absolute_at:#010x} | {worst.relative:.2f} |"
            f" {worst.relative_at:#010x} |",
            flush=True,
        )
        results.append({"sampler": name, **worst._asdict(), "seconds": time.time() - begun})
    if options.out:
        document = {"stream_version": STREAM_VERSION, "stride": options.stride, "results": results}
        scratch = options.out.with_suffix(".tmp")
        scratch.write_text(json.dumps(document, indent=1) + "\n")
        scratch.replace(options.out)


if __name__ == "__main__":
    main()
