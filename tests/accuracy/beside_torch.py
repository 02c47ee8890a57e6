"""``trunc_normal_`` of tritoninit and of the torch that is installed, for the same arguments.

    python -m tests.accuracy.beside_torch [--samples N] [--limit SECONDS] [tritoninit] [torch]

Both halves need numpy and scipy; torch's needs nothing of tritoninit, so that it runs beside any
release of torch.  A run replaces the records of the implementation and version that it measured
in ``beside_torch.json`` and renders all of them in ``beside_torch.md``.  On one core a half
takes some 5 minutes.

torch 2.11 inverts the distribution function at a uniform, which is drawn again here, so that its
error is known, as tritoninit's is.  From 2.12 on torch redraws until all samples lie between
the bounds: a sample has no argument then, and only the distribution can be compared.  What takes
longer than the limit is tried once more with fewer samples, and given up after that.
"""

from __future__ import annotations

import argparse
import inspect
import json
import math
import platform
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import special

from tests.accuracy import truncation
from tests.accuracy.beside_torch_table import rendered
from tests.accuracy.truncation import CASES, FORMATS, Array, Case

RESULTS = Path(__file__).parent / "beside_torch.json"
SEED = 20261124
SAMPLES, FEWER = 2**24, 2**18
ALL = 2**32
SIGN = np.uint32(2**31)
PROBE = 1024
UNREACHABLE = 7  # sigma, beyond which no bound is reached by one word's normal

Drawn = tuple[torch.Tensor, float]  # and the seconds that took
Half = tuple[Callable[[Case, str, int], Drawn], Callable[[Case, Array, str], Array | None]]


def timed(case: Case, dtype: str, size: int, fill: Callable[..., Any]) -> Drawn:
    """A tensor filled by ``fill``, and the seconds of that; a call before takes what is lazy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, that the mean is far from the bounds
        fill(torch.empty(16, dtype=getattr(torch, dtype)), *case)
        tensor = torch.empty(size, dtype=getattr(torch, dtype)).zero_()
        begun = time.perf_counter()
        fill(tensor, *case)
        return tensor, time.perf_counter() - begun


def ours() -> Half:
    """tritoninit's samples, and the exact values of their words."""
    from tritoninit import Key, init
    from tritoninit.backends.numba_ import NumbaBackend

    key = Key(SEED).fold_in("layers.0.wq.weight")

    def draw(case: Case, dtype: str, size: int) -> Drawn:
        return timed(case, dtype, size, lambda *call: init.trunc_normal_(*call, generator=key))

    def exact(case: Case, values: Array, dtype: str) -> Array:
        words = NumbaBackend().words(key, 0, values.size, 1, 0)[0]
        alpha, beta = case.bounds
        if alpha < 0 < beta and min(-alpha, beta) >= UNREACHABLE:
            return case.mean + case.std * box_muller(words)
        orders = (words, words ^ SIGN, ~words, ~words ^ SIGN)
        index = min(orders, key=lambda order: off(case, values[:PROBE], order[:PROBE]))
        counted = [quantile(case, index, moved) for moved in {0.0, moved_by(case)}]
        return min(counted, key=lambda exact: truncation.worst(case, dtype, values, exact))

    return draw, exact


def quantile(case: Case, index: Any, moved: float = 0.0) -> Array:
    """The value below which are (index + moved + 1/2) / 2**32 of the law."""
    below, above = (part.astype(np.float64) + 0.5 for part in (index, ~index))
    return case.quantile((below + moved) / ALL, (above - moved) / ALL)


def moved_by(case: Case) -> float:
    """How far words move, of one, that are counted from the mean and not from a bound."""
    alpha, beta = case.bounds
    if not alpha < 0 < beta:
        return 0.0
    left = special.ndtr(0.0) - special.ndtr(alpha)
    words = float(left / (left + special.ndtr(beta) - special.ndtr(0.0)) * ALL)
    return words - round(words)


def off(case: Case, values: Array, index: Any) -> float:
    """How far values are from those of the words in this order.

    A value is the quantile of its word as a signed or unsigned number, rising or falling: the
    form of the sampler decides, and this tells which of them it was.
    """
    return float(np.median(np.abs(values - quantile(case, index))))


def box_muller(words: Any) -> Array:
    """The normals of words in pairs: a radius's and an angle's."""
    radius, angle = words[0::2].astype(np.float64), words[1::2].astype(np.int64)
    below, above = (radius + 0.5) / ALL, (ALL - 1 - radius + 0.5) / ALL
    length = np.sqrt(-2 * np.where(below < 0.5, np.log(below), np.log1p(-above)))
    turn = 2 * np.pi * (((angle - 1) & 0x7FFFFFFF) + 0.5) / ALL
    length = np.where(angle >> 31, -length, length)
    return np.stack([length * np.cos(turn), length * np.sin(turn)], axis=-1).reshape(-1)


def torchs() -> Half:
    """torch's samples, and the exact values of their uniforms where it inverts."""
    generator = torch.Generator()
    inverts = "erfinv_" in inspect.getsource(torch.nn.init._no_grad_trunc_normal_)

    def draw(case: Case, dtype: str, size: int) -> Drawn:
        def fill(tensor: torch.Tensor, *arguments: float) -> None:
            generator.manual_seed(SEED)
            torch.nn.init.trunc_normal_(tensor, *arguments, generator=generator)

        return timed(case, dtype, size, fill)

    def exact(case: Case, values: Array, dtype: str) -> Array | None:
        if not inverts:
            return None
        generator.manual_seed(SEED)
        again = torch.empty(values.size, dtype=getattr(torch, dtype))
        uniform = again.uniform_(generator=generator)
        below = uniform.double().numpy()
        return case.quantile(below, 1 - below)

    return draw, exact


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise TimeoutError after that; the loops of torch 2.12 and newer are in Python."""

    def expired(*_: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def measured(half: Half, case: Case, dtype: str, samples: int, limit: float) -> dict[str, Any]:
    """The record of one case in one dtype."""
    draw, exact = half
    record: dict[str, Any] = {"case": list(case), "dtype": dtype}
    for size in (samples, min(samples, FEWER)):
        try:
            with within(limit):
                tensor, seconds = draw(case, dtype, size)
        except TimeoutError:
            record["unfinished"] = [*record.get("unfinished", []), size]
        except RuntimeError as error:
            return {**record, "error": str(error).splitlines()[0]}
        else:
            break
    else:
        return record
    record["nanoseconds_per_sample"] = seconds / size * 1e9
    values = tensor.double().numpy()
    record |= truncation.described(case, dtype, values)
    reference = exact(case, values, dtype)
    if reference is not None:
        record["worst"] = truncation.worst(case, dtype, values, reference)
    return record


def versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
        "cpu capability": torch.backends.cpu.get_cpu_capability(),
    }


def described(name: str) -> tuple[str, Half, dict[str, Any]]:
    """The implementation's name in the records, how it is measured, and what it ran on."""
    if name == "torch":
        return f"torch {torch.__version__.partition('+')[0]}", torchs(), versions()
    from tritoninit import STREAM_VERSION

    return name, ours(), {**versions(), "stream_version": STREAM_VERSION}


def stored(value: Any) -> Any:
    """JSON has no infinities."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {name: stored(item) for name, item in value.items()}
    return [stored(item) for item in value] if isinstance(value, (list, tuple)) else value


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.accuracy.beside_torch")
    parser.add_argument("names", nargs="*", help="tritoninit, torch (default: both)")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="of each case (2**24)")
    parser.add_argument("--limit", type=float, default=60, help="seconds of a call (60)")
    options = parser.parse_args()
    document = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in options.names or ["tritoninit", "torch"]:
        title, half, ran = described(name)
        records = []
        for dtype in FORMATS:
            for case in CASES:
                record = measured(half, case, dtype, options.samples, options.limit)
                records.append(record)
                print(title, dtype, case, json.dumps(stored(record)), flush=True)
        document[title] = stored({**ran, "seed": SEED, "limit": options.limit, "records": records})
    document = dict(sorted(document.items()))
    scratch = RESULTS.with_suffix(".tmp")
    scratch.write_text(json.dumps(document, indent=1) + "\n")
    scratch.replace(RESULTS)
    RESULTS.with_suffix(".md").write_text(rendered(document))


if __name__ == "__main__":
    main()
