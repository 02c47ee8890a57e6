"""Parts of a sharded matrix: beside as many contiguous elements, and beside tensor.fill_.

    python -m benchmarks.bench_shards [--dtypes float32] [--threads 1]

Each part is the one that a rank in the middle of the mesh holds, in contiguous memory of its
own, filled with ``global_shape`` and ``global_offset``.  The contiguous tensor has no global
shape; ``fill_`` on the part's memory is the ceiling.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from benchmarks import common, gate
from benchmarks.bench_single import DTYPES, dtypes
from benchmarks.cases import Cases, Row
from benchmarks.timing import Contestant, Timing, as_json, duration, interleave
from tritoninit import Key, init

SIZE = {"cpu": 4096, "cuda": 16384}  # an eighth of it does not fit a GPU's L2 of 50 MB
QUICK_SIZE = 1024
# (parts of dimension 0, parts of dimension 1)
LAYOUTS = {
    "Shard(0) of 8": (8, 1),
    "Shard(1) of 8": (1, 8),
    "Shard(1) of 64": (1, 64),
    "Shard(1) of 512": (1, 512),
    "Shard(0) of 8, Shard(1) of 8": (8, 8),
}
FILLS: dict[str, Callable[..., Any]] = {
    "normal_": init.normal_,
    "uniform_": init.uniform_,
    "trunc_normal_": init.trunc_normal_,
}
KEY = Key(20261124).fold_in("shards")


@dataclass(frozen=True)
class Case:
    """One initializer on one layout in one dtype."""

    op: str
    layout: str
    dtype: str
    size: int

    @property
    def sizes(self) -> tuple[int, int]:
        """The shape of the part."""
        rows, columns = LAYOUTS[self.layout]
        return self.size // rows, self.size // columns

    @property
    def offset(self) -> tuple[int, int]:
        """Where the part begins: past half of the parts of each dimension."""
        rows, columns = LAYOUTS[self.layout]
        return rows // 2 * self.sizes[0], columns // 2 * self.sizes[1]


def measure(case: Case, device: torch.device, quick: bool) -> dict[str, Timing]:
    """The timings of the part, of as many contiguous elements, and of fill_."""
    fill = FILLS[case.op]
    part = torch.empty(case.sizes, dtype=DTYPES[case.dtype], device=device)
    contiguous = torch.empty_like(part)
    place = dict(global_shape=(case.size, case.size), global_offset=case.offset)
    contestants = [
        Contestant("part", lambda: fill(part, generator=KEY, **place)),
        Contestant("contiguous", lambda: fill(contiguous, generator=KEY)),
        Contestant("fill_", lambda: part.fill_(0.5)),
    ]
    return interleave(contestants, device, quick)


def line(case: Case, timings: dict[str, Timing]) -> str:
    """One row of the table on the terminal."""
    part, contiguous = timings["part"].median_s, timings["contiguous"].median_s
    numel = case.sizes[0] * case.sizes[1]
    return (
        f"{case.op:15}{case.dtype:10}{case.layout:30}{'x'.join(map(str, case.sizes)):>11}"
        f"{duration(part):>10}{duration(contiguous):>12}{part / contiguous:>7.2f}x"
        f"{numel / part / 1e6:>10.4g}{timings['fill_'].median_s / part:>7.0%}"
        f"{timings['part'].rounds:>4}/{timings['contiguous'].rounds}"
    )


def timed(case: Case, device: torch.device, quick: bool) -> tuple[Row, str]:
    """The row of a case, and its line on the terminal."""
    timings = measure(case, device, quick)
    row = {
        "op": case.op,
        "layout": case.layout,
        "dtype": case.dtype,
        "global_shape": (case.size, case.size),
        "shape": case.sizes,
        "timings": as_json(timings),
    }
    return row, line(case, timings)


def check(device: torch.device, names: list[str], size: int) -> None:
    """The gate on parts that are cut as those which are timed."""
    cases = [Case("normal_", layout, names[0], size) for layout in LAYOUTS]
    gate.check_parts(
        device,
        [DTYPES[name] for name in names],
        [(case.offset, case.sizes) for case in cases],
        size,
    )


def main() -> None:
    """Check, time, print, and write the file."""
    parser = common.parser("Parts of a sharded matrix beside contiguous tensors")
    parser.add_argument("--dtypes", type=dtypes, default="float32,bfloat16", help="some dtypes")
    options = parser.parse_args()
    device = common.apply(options)
    run = Cases("shards", options, device)
    size = QUICK_SIZE if options.quick else SIZE[device.type]
    check(device, options.dtypes, size)
    run.announce()
    print(
        f"{'':15}{'':10}{f'part of {size} x {size}':30}{'shape':>11}{'part':>10}{'contiguous':>12}"
        f"{'ratio':>8}{'M/s':>10}{'fill_':>7}  rounds"
    )
    for dtype in options.dtypes:
        for op in FILLS:
            for layout in LAYOUTS:
                case = Case(op, layout, dtype, size)
                label = f"{op} {dtype}, {layout}"
                run.run(label, partial(timed, case, device, options.quick))
    run.conclude()


if __name__ == "__main__":
    main()
