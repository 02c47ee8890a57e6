"""Single fills: tritoninit.init beside torch.nn.init, tensor.fill_ and other libraries.

    python -m benchmarks.bench_single [--sizes 2^20,2^26] [--dtypes float32] [--threads 1]

Both sides use their default generator.  ``fill_`` on the same memory is the ceiling: what the
memory takes without any computing.  No cache is emptied between calls: what fits into a GPU's L2
is timed there, for all alike, and figures of its memory are those of 2^26 elements and more.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

import tritoninit
from benchmarks import common, gate, peers
from benchmarks.cases import Cases, Row
from benchmarks.timing import Contestant, Timing, as_json, duration, interleave, runnable

SIZES = {
    "cpu": "2^0,2^4,2^8,2^10,2^12,2^16,2^20,2^24,2^26",
    "cuda": "2^0,2^4,2^8,2^12,2^16,2^20,2^22,2^24,2^26,2^28,2^30,2^32",
}
QUICK_SIZES = "2^0,2^8,2^16,2^20"
FEW = "2^0,2^10,2^20,2^26"  # of 16-bit floats on a CPU, and on a GPU of float16 alone
SHARE = 4  # of the memory, for the tensor: torch's trunc_normal_ takes three times as much beside
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
LARGE = (1 << 28, 1 << 30)  # elements: of these a GPU's figures are read first
SAMPLERS = ("uniform_", "normal_", "trunc_normal_")
Fill = Callable[[ModuleType, Tensor], Any]

SIZED: dict[str, Fill] = {
    "normal_": lambda init, tensor: init.normal_(tensor),
    "uniform_": lambda init, tensor: init.uniform_(tensor),
    "trunc_normal_": lambda init, tensor: init.trunc_normal_(tensor),  # std 1, bounds -2 and 2
    "kaiming_uniform_": lambda init, tensor: init.kaiming_uniform_(tensor, a=math.sqrt(5)),
    "xavier_normal_": lambda init, tensor: init.xavier_normal_(tensor),
    "constant_": lambda init, tensor: init.constant_(tensor, 0.5),
    "eye_": lambda init, tensor: init.eye_(tensor),
}
SHAPED: dict[str, Fill] = {
    "dirac_": lambda init, tensor: init.dirac_(tensor),
    "sparse_": lambda init, tensor: init.sparse_(tensor, 0.1),
    "orthogonal_": lambda init, tensor: init.orthogonal_(tensor),
}
SHAPES = {
    "dirac_": [(4, 4, 1), (512, 512, 3, 3)],
    "sparse_": [(4, 4), (1024, 1024), (4096, 4096)],
    "orthogonal_": [(4, 4), (1024, 1024)],
}
QUICK_SHAPES = {
    "dirac_": [(4, 4, 1), (64, 64, 3, 3)],
    "sparse_": [(4, 4), (256, 256)],
    "orthogonal_": [(4, 4), (128, 128)],
}


@dataclass(frozen=True)
class Case:
    """One initializer on one shape in one dtype."""

    op: str
    shape: tuple[int, ...]
    dtype: str
    fill: Fill

    def __str__(self) -> str:
        return f"{self.op} {self.dtype} {'x'.join(map(str, self.shape))}"


def matrix(numel: int) -> tuple[int, int]:
    """The most nearly square matrix of ``numel`` elements, no taller than wide."""
    rows = next(r for r in range(math.isqrt(numel), 0, -1) if numel % r == 0)
    return rows, numel // rows


def sizes(text: str) -> list[int]:
    """Comma-separated numbers of elements, in digits or as powers: ``1000,2^20``."""
    found = []
    for part in text.split(","):
        base, _, exponent = part.strip().partition("^")
        value = int(base) ** int(exponent) if exponent else int(base)
        if value < 1:
            raise argparse.ArgumentTypeError(f"expected sizes of at least 1, got {part}")
        found.append(value)
    return found


def dtypes(text: str) -> list[str]:
    """Comma-separated names of dtypes."""
    names = [part.strip() for part in text.split(",")]
    for name in names:
        if name not in DTYPES:
            raise argparse.ArgumentTypeError(f"expected some of {', '.join(DTYPES)}, got {name}")
    return names


def sizes_of(options: argparse.Namespace, device: torch.device, dtype: str) -> list[int]:
    """The numbers of elements of a dtype that the memory has room for."""
    few = dtype == "float16" or (dtype == "bfloat16" and device.type == "cpu")
    usual = QUICK_SIZES if options.quick else FEW if few else SIZES[device.type]
    most = common.memory(device) // (SHARE * DTYPES[dtype].itemsize)
    return [numel for numel in options.sizes or sizes(usual) if numel <= most]


def is_wanted_first(case: Case) -> bool:
    """Whether a target is read off a case (``targets.py``), should the time not suffice for all."""
    numel = math.prod(case.shape)
    if case.dtype == "float16" or case.op == "orthogonal_":
        return False
    if case.op in SHAPED:
        return case.dtype == "float32" and case.shape == SHAPES[case.op][-1]
    return case.op in SAMPLERS and numel in LARGE


def cases(options: argparse.Namespace, device: torch.device) -> list[Case]:
    """Every case of this run, in the order of the table, but on a GPU what is wanted first."""
    found = []
    for dtype in options.dtypes:
        counts = sizes_of(options, device, dtype)
        for op, fill in SIZED.items():
            found += [Case(op, matrix(numel), dtype, fill) for numel in counts]
        for op, fill in SHAPED.items():
            if op == "orthogonal_" and dtype != "float32":
                continue  # torch's QR has no 16-bit dtypes
            shapes = (QUICK_SHAPES if options.quick else SHAPES)[op]
            found += [Case(op, shape, dtype, fill) for shape in shapes]
    if device.type == "cuda":
        found.sort(key=is_wanted_first, reverse=True)
    return found


def measure(case: Case, tensor: Tensor, quick: bool, skipped: dict[str, str]) -> dict[str, Timing]:
    """The timings of every contestant on the same memory."""
    contestants = [
        Contestant("tritoninit", lambda: case.fill(tritoninit.init, tensor)),
        Contestant("torch.nn.init", lambda: case.fill(torch.nn.init, tensor)),
        Contestant("fill_", lambda: tensor.fill_(0.5)),
        *peers.contestants(case.op, tensor, skipped),
    ]
    contestants = runnable(contestants, skipped, str(case))
    return interleave(contestants, tensor.device, quick)


def line(case: Case, timings: dict[str, Timing]) -> str:
    """One row of the table on the terminal."""
    ours = timings["tritoninit"].median_s
    incumbent = timings.get("torch.nn.init")
    torchs = incumbent.median_s if incumbent else math.nan
    numel = math.prod(case.shape)
    others = "  ".join(
        f"{name} {duration(timing.median_s)}"
        for name, timing in timings.items()
        if name not in ("tritoninit", "torch.nn.init", "fill_")
    )
    return (
        f"{case.op:17}{case.dtype:9}{'x'.join(map(str, case.shape)):>13}"
        f"{duration(ours):>10}{duration(torchs):>10}{torchs / ours:>8.2f}x"
        f"{numel / ours / 1e6:>10.4g}{numel * DTYPES[case.dtype].itemsize / ours / 1e9:>9.3g}"
        f"{timings['fill_'].median_s / ours:>7.0%}"
        f"{timings['tritoninit'].rounds:>4}/{incumbent.rounds if incumbent else 0:<4}{others}"
    )


def slowest(results: list[Row]) -> str:
    """How often, and by how much at most, torch.nn.init is faster."""
    gaps = []
    for row in results:
        ours, torchs = (row["timings"].get(name) for name in ("tritoninit", "torch.nn.init"))
        if torchs:
            gaps.append((ours["median_s"] - torchs["median_s"], row))
    behind = [gap for gap, _ in gaps if gap > 0]
    if not behind:
        return f"faster than torch.nn.init in all {len(gaps)} cases"
    gap, row = max(gaps, key=lambda pair: pair[0])
    return (
        f"slower than torch.nn.init in {len(behind)} of {len(gaps)} cases, by"
        f" {duration(statistics.median(behind))} at the median and {duration(gap)} at most"
        f" ({row['op']} {row['dtype']} {'x'.join(map(str, row['shape']))})"
    )


def timed(case: Case, tensor: Tensor, quick: bool, skipped: dict[str, str]) -> tuple[Row, str]:
    """The row of a case, and its line on the terminal."""
    timings = measure(case, tensor, quick, skipped)
    row = {"op": case.op, "dtype": case.dtype, "shape": case.shape, "timings": as_json(timings)}
    return row, line(case, timings)


def main() -> None:
    """Check, time, print, and write the file."""
    parser = common.parser("Single fills beside torch.nn.init")
    parser.add_argument("--sizes", type=sizes, help="elements, such as 2^20,2^26")
    parser.add_argument("--dtypes", type=dtypes, help=f"default: {','.join(DTYPES)}")
    options = parser.parse_args()
    device = common.apply(options)
    run = Cases("single", options, device)
    if options.dtypes is None:
        options.dtypes = list(DTYPES)
    todo = cases(options, device)
    for name in options.dtypes:
        most = max(math.prod(case.shape) for case in todo if case.dtype == name)
        gate.check(device, [DTYPES[name]], most)
    run.announce()
    print(
        f"{'':17}{'':9}{'shape':>13}{'ours':>10}{'torch':>10}{'ratio':>9}{'M/s':>10}{'GB/s':>9}"
        f"{'fill_':>7}  rounds (ours/torch)"
    )
    room = max(math.prod(case.shape) * DTYPES[case.dtype].itemsize for case in todo)
    memory = torch.empty(room, dtype=torch.uint8, device=device)
    for case in todo:
        part = memory.view(DTYPES[case.dtype])[: math.prod(case.shape)].view(case.shape)
        run.run(str(case), partial(timed, case, part, options.quick, run.skipped))
    print(slowest(run.results))
    run.conclude()


if __name__ == "__main__":
    main()
