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


def main() -> None:
    """Check, time, print, and write the file."""
    options = common.parser("Fills on several threads").parse_args()
    deadline = common.Deadline(options.seconds)
    device = torch.device("cpu")
    gate.check(device, [DTYPES[name] for name in NAMES], QUICK_SIZE)
    facts = common.environment(device)
    print(common.describe(facts))
    skipped: dict[str, str] = {}
    results: list[dict[str, Any]] = []
    for dtype in NAMES:
        for op, fill in FILLS.items():
            if deadline.passed(f"{op} {dtype}", skipped):
                continue
            numel = QUICK_SIZE if options.quick else SIZES.get(op, 1 << 26)
            side = 1 << numel.bit_length() // 2
            tensor = torch.empty(numel // side, side, dtype=DTYPES[dtype])
            contestants = [
                Contestant(
                    f"{threads} threads",
                    partial(fill, tensor),
                    prepare=partial(torch.set_num_threads, threads),
                )
                for threads in counts()
            ]
            timings = interleave(contestants, device, options.quick)
            torch.set_num_threads(facts["threads"])
            one = timings["1 threads"].median_s
            columns = (
                f"{name} {duration(t.median_s)} ({one / t.median_s:.2f}x)"
                for name, t in timings.items()
            )
            print(f"{op:15}{dtype:10}{numel:>10}", "  ".join(columns), flush=True)
            shape = list(tensor.shape)
            results.append({"op": op, "dtype": dtype, "shape": shape, "timings": as_json(timings)})
    document = {"benchmark": "threads", "environment": facts, "quick": options.quick}
    common.write_json(options.json, {**document, "not_timed": skipped, "results": results})


if __name__ == "__main__":
    main()
