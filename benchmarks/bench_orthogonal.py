"""orthogonal_ beside torch.nn.init's, square, tall and wide, and many matrices of one shape.

    python -m benchmarks.bench_orthogonal [--threads 1]

torch.nn.init computes a QR decomposition in float32, tritoninit in float64.  ``memory_bytes`` is
what tritoninit holds at most beside the tensors.
"""

from __future__ import annotations

import math
import sys
import tracemalloc
from functools import partial
from typing import Any

import torch
from torch import Tensor

import tritoninit
from benchmarks import common
from benchmarks.cases import Cases, Row
from benchmarks.timing import Contestant, Timing, as_json, duration, interleave, runnable
from tritoninit import Key, init
from tritoninit.orthogonal import Matrix, fill_matrices

Shape = tuple[int, int]

SHAPES: list[Shape] = [
    *((size, size) for size in (64, 128, 256, 512, 1024, 2048, 4096)),
    *((4096, 64), (64, 4096), (4096, 512), (512, 4096)),
]
LARGEST = {"cpu": [], "cuda": [(8192, 8192), (16384, 16384)]}
QUICK_SHAPES: list[Shape] = [(64, 64), (256, 256), (512, 64), (64, 512)]
MANY = [(512, (64, 64)), (128, (128, 128)), (32, (512, 512))]
QUICK_MANY = [(16, (64, 64))]
CHECKED: list[Shape] = [(300, 300), (700, 90), (90, 700)]
KEY = Key(20261124)
LEAST = 2.0**-48  # below it two devices may differ by more than one float32 ulp


def check(device: torch.device) -> None:
    """Exit where a matrix is not orthogonal, not the CPU's, or another one among others."""
    failed = []
    for shape in CHECKED:
        one = init.orthogonal_(torch.empty(shape, device=device), generator=KEY)
        wide = one.double() if shape[0] < shape[1] else one.double().T
        gram = wide @ wide.T
        error = (gram - torch.eye(len(gram), dtype=gram.dtype, device=device)).abs().max().item()
        if error > torch.finfo(torch.float32).eps:
            failed.append(f"{shape}: |Q^T Q - I| = {error:.3g}")
        reference = init.orthogonal_(torch.empty(shape), generator=KEY).double()
        near = (one.cpu().double() - reference).abs() <= reference.abs() * 2.0**-23 + LEAST
        if not near.all():
            failed.append(f"{shape}: not the CPU's")
        several = [Matrix(torch.empty_like(one), 1.0, KEY.fold_in(i)) for i in range(3)]
        fill_matrices([*several, Matrix(held := torch.empty_like(one), 1.0, KEY)])
        if not torch.equal(held, one):
            failed.append(f"{shape}: another one among others")
    if failed:
        sys.exit("orthogonal_ is wrong, so nothing was timed: " + "; ".join(failed))
    print(f"orthogonal_ is right on {device}", flush=True)


def memory(tensors: list[Tensor]) -> int:
    """Bytes held at most while the tensors are filled, beside them."""
    device = tensors[0].device
    matrices = [Matrix(tensor, 1.0, KEY) for tensor in tensors]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        fill_matrices(matrices)
        return torch.cuda.max_memory_allocated(device) - before
    tracemalloc.start()
    try:
        fill_matrices(matrices)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def measure(tensors: list[Tensor], quick: bool, skipped: dict[str, str]) -> dict[str, Timing]:
    """One call a tensor, and of several tensors also a single call for all."""

    def loop(module: Any) -> None:
        for tensor in tensors:
            module.orthogonal_(tensor)

    contestants = [
        Contestant("tritoninit", lambda: loop(tritoninit.init)),
        Contestant("torch.nn.init", lambda: loop(torch.nn.init)),
    ]
    if len(tensors) > 1:
        matrices = [Matrix(tensor, 1.0, KEY.fold_in(i)) for i, tensor in enumerate(tensors)]
        contestants.append(Contestant("together", lambda: fill_matrices(matrices)))
    where = f"{len(tensors)} of {'x'.join(map(str, tensors[0].shape))}"
    return interleave(runnable(contestants, skipped, where), tensors[0].device, quick)


def timed(
    count: int, shape: Shape, device: torch.device, quick: bool, skipped: dict[str, str]
) -> tuple[Row, str]:
    """The row of ``count`` matrices, and its line on the terminal."""
    tensors = [torch.empty(shape, device=device) for _ in range(count)]
    timings = measure(tensors, quick, skipped)
    held = memory(tensors)
    ours = timings["together" if count > 1 else "tritoninit"].median_s
    torchs = timings["torch.nn.init"].median_s if "torch.nn.init" in timings else math.nan
    long, short = max(shape), min(shape)
    operations = count * (2 * long * short**2 - 2 * short**3 / 3)
    columns = (
        f"{count:4} of {'x'.join(map(str, shape)):>11}",
        f"{torchs / ours:6.2f}x",
        f"{operations / ours / 1e9:8.4g} GFLOP/s",
        f"{held / (count * math.prod(shape)):6.3g} B an element",
        *(f"{name} {duration(t.median_s)}" for name, t in timings.items()),
    )
    row: Row = dict(count=count, dtype="float32", shape=list(shape), timings=as_json(timings))
    return row | {"memory_bytes": held, "operations": operations}, "  ".join(columns)


def main() -> None:
    """Check, time, print, and write the file."""
    options = common.parser("orthogonal_ beside torch.nn.init's").parse_args()
    device = common.apply(options)
    run = Cases("orthogonal", options, device)
    check(device)
    run.announce()
    single = QUICK_SHAPES if options.quick else SHAPES + LARGEST[device.type]
    many = QUICK_MANY if options.quick else MANY
    for count, shape in [(1, shape) for shape in single] + many:
        case = f"{count} of {'x'.join(map(str, shape))}"
        run.run(case, partial(timed, count, shape, device, options.quick, run.skipped))
    run.conclude()


if __name__ == "__main__":
    main()
