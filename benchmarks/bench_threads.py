"""Fills of host memory on 1, 2, 4, ... threads up to the machine's cores.

    python -m benchmarks.bench_threads

torch.nn.init draws on one thread, whatever the number; ``fill_`` is the ceiling.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks import common, gate
from benchmarks.bench_single import DTYPES
from benchmarks.cases import Cases, Row
from benchmarks.timing import Contestant, as_json, duration, interleave
from tritoninit import init

SIZES = {"normal_": 1 << 26, "uniform_": 1 << 26, "trunc_normal_": 1 << 26, "sparse_": 1 << 24}
QUICK_SIZE = 1 << 20
FILLS: dict[str, Callable[[Tensor], Any]] = {
    "normal_": init.normal_,
    "uniform_": init.uniform_,
    "trunc_normal_": init.trunc_normal_,
    "sparse_": partial(init.sparse_, sparsity=0.1),
    "fill_": lambda tensor: tensor.fill_(0.5),
}
NAMES = ("float32", "bfloat16")


def counts() -> list[int]:
    """Powers of two up to the cores that this process may use, and their number."""
    cores = len(os.sched_getaffinity(0))
    return [*(1 << n for n in range(cores.bit_length()) if 1 << n < cores), cores]


def timed(op: str, dtype: str, quick: bool) -> tuple[Row, str]:
    """The row of a fill, and its line on the terminal."""
    numel = QUICK_SIZE if quick else SIZES.get(op, 1 << 26)
    side = 1 << numel.bit_length() // 2
    tensor = torch.empty(numel // side, side, dtype=DTYPES[dtype])
    usual = torch.get_num_threads()
    contestants = [
        Contestant(
            f"{threads} threads",
            partial(FILLS[op], tensor),
            prepare=partial(torch.set_num_threads, threads),
        )
        for threads in counts()
    ]
    timings = interleave(contestants, tensor.device, quick)
    torch.set_num_threads(usual)
    one = timings["1 threads"].median_s
    columns = (
        f"{name} {duration(t.median_s)} ({one / t.median_s:.2f}x)" for name, t in timings.items()
    )
    row = {"op": op, "dtype": dtype, "shape": list(tensor.shape), "timings": as_json(timings)}
    return row, "  ".join((f"{op:15}{dtype:10}{numel:>10}", *columns))


def main() -> None:
    """Check, time, print, and write the file."""
    options = common.parser("Fills on several threads").parse_args()
    device = torch.device("cpu")
    run = Cases("threads", options, device)
    gate.check(device, [DTYPES[name] for name in NAMES], QUICK_SIZE)
    run.announce()
    for dtype in NAMES:
        for op in FILLS:
            run.run(f"{op} {dtype}", partial(timed, op, dtype, options.quick))
    run.conclude()


if __name__ == "__main__":
    main()
