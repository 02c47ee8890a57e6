"""What ``import tritoninit`` adds to ``import torch``, each time in a fresh interpreter.

    python -m benchmarks.bench_import

Fails where the import loads triton or numba.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks import common

RUNS = 15
FORBIDDEN = ("triton", "numba")
PROBE = """
import json, sys, time
begin = time.perf_counter()
import torch
middle = time.perf_counter()
before = set(sys.modules)
start = time.perf_counter()
import tritoninit
end = time.perf_counter()
loaded = sorted(set(sys.modules) - before)
print(json.dumps({"torch": middle - begin, "tritoninit": end - start, "modules": loaded}))
"""


def probe() -> dict[str, Any]:
    """One import in a new process."""
    run = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=True, cwd=common.ROOT
    )
    result: dict[str, Any] = json.loads(run.stdout)
    return result


def main() -> None:
    """Measure, print, and write the file."""
    parser = argparse.ArgumentParser(description="The import time of tritoninit above torch's")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    parser.add_argument("--quick", action="store_true", help="three runs")
    options = parser.parse_args()
    probe()  # writes the byte code and warms the disk's cache
    runs = [probe() for _ in range(3 if options.quick else RUNS)]
    roots = {name.partition(".")[0] for name in runs[0]["modules"]}
    if unwanted := roots.intersection(FORBIDDEN):
        sys.exit(f"import tritoninit loads {', '.join(sorted(unwanted))}, so nothing was timed")
    results = {}
    for name in ("torch", "tritoninit"):
        times = [run[name] for run in runs]
        q1, median, q3 = statistics.quantiles(times, n=4, method="inclusive")
        results[name] = {"median_s": median, "min_s": min(times), "q1_s": q1, "q3_s": q3}
        added = "" if name == "torch" else " on top of torch"
        print(
            f"import {name}{added}: {median * 1e3:.1f} ms (quartiles {q1 * 1e3:.1f} and"
            f" {q3 * 1e3:.1f}, {len(runs)} processes)"
        )
    common.write_json(
        options.json,
        {
            "benchmark": "import",
            "environment": common.environment(torch.device("cpu")),
            "quick": options.quick,
            "processes": len(runs),
            "results": results,
        },
    )


if __name__ == "__main__":
    main()
