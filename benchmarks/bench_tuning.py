"""Whether another choice of launch is faster than the present one, on a GPU.

    python -m benchmarks.bench_tuning [--seconds 60]

For three samplers in float32 and bfloat16, one choice at a time differs from the present one:
counters a program, warps, registers, hints of the store, and programs that stay and take many
tiles.  The bits are the same, which is checked before anything is timed.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks import common
from benchmarks.cases import Cases, Row
from benchmarks.timing import Contestant, as_json, duration, interleave
from tritoninit import Key, init
from tritoninit.layout import DTYPES
from tritoninit.recipe import Normal, Recipe, TruncNormal, Uniform

NUMEL, QUICK_NUMEL = 1 << 29, 1 << 20
KEY = Key(20261124).fold_in("tuning")
SHIPPED = "shipped"
RECIPES: dict[str, Recipe] = {
    "normal_": Normal(0.0, 1.0),
    "uniform_": Uniform(0.0, 1.0),
    "trunc_normal_": TruncNormal(0.0, 1.0, -2.0, 2.0),
}
DIFFERENT: tuple[dict[str, Any], ...] = (
    {},
    {"block": 512},
    {"block": 2048},
    {"block": 512, "warps": 2},
    {"block": 2048, "warps": 8},
    {"registers": 128},
    {"registers": 96},
    {"cache": ".cs"},
    {"cache": ".wt"},
    {"evict": "evict_first"},
    {"resident": 3},
    {"resident": 8},
    {"resident": 24},
)


def contestants(op: str, tensor: Tensor, skipped: dict[str, str]) -> list[Contestant]:
    """The shipped way, then every choice that compiles, its values checked against the shipped."""
    from benchmarks.tuning_kernel import Choice, fill

    processors = torch.cuda.get_device_properties(tensor.device).multi_processor_count
    shipped = partial(getattr(init, op), tensor, generator=KEY)
    expected = shipped().clone()
    found = [Contestant(SHIPPED, shipped)]
    for different in DIFFERENT:
        choice = Choice(**different)
        work = partial(fill, tensor, RECIPES[op], KEY, DTYPES[tensor.dtype], choice, processors)
        tensor.zero_()
        try:
            work()
        except Exception as error:
            if not different or isinstance(error, torch.AcceleratorError):
                raise
            skipped[f"{op} {tensor.dtype}, {choice}"] = common.reason(error)
            continue
        if not torch.equal(tensor, expected):
            sys.exit(f"{op} {tensor.dtype}: other bits with {choice}")
        found.append(Contestant(str(choice), work))
    return found


def timed(
    op: str, dtype: torch.dtype, device: torch.device, quick: bool, skipped: dict[str, str]
) -> tuple[Row, str]:
    """The row of a sampler in a dtype, and its lines on the terminal."""
    name = str(dtype).removeprefix("torch.")
    tensor = torch.empty(QUICK_NUMEL if quick else NUMEL, dtype=dtype, device=device)
    tried = contestants(op, tensor, skipped)
    timings = interleave(tried, device, quick)
    present = timings[tried[1].name].median_s
    lines = [
        f"{op:15}{name:10}{label:60}{duration(t.median_s):>10}{present / t.median_s:>8.3f}x"
        for label, t in timings.items()
    ]
    row = {"op": op, "dtype": name, "shape": [tensor.numel()], "timings": as_json(timings)}
    return row, "\n".join(lines)


def main() -> None:
    """Check, time, print, and write the file."""
    options = common.parser("Choices of a launch on a GPU").parse_args()
    device = common.apply(options)
    if device.type != "cuda":
        sys.exit("a launch is tuned on a GPU, and torch sees none")
    run = Cases("tuning", options, device)
    run.announce()
    for dtype in (torch.float32, torch.bfloat16):
        for op in RECIPES:
            case = f"{op} {str(dtype).removeprefix('torch.')}"
            run.run(case, partial(timed, op, dtype, device, options.quick, run.skipped))
    run.conclude()


if __name__ == "__main__":
    main()
