"""What a drop-in call on a GPU costs the host, without a GPU.

    python -m benchmarks.bench_launch

Triton's own launcher runs, up to the driver, whose place a library takes that runs nothing
(``tests/gpu_compile/driver.c``, which needs a C compiler): to the figures belongs what a driver
takes for a launch, 2 to 3 us.  Host memory stands for a GPU's.  Where there is a GPU,
``bench_single`` on one element measures the whole.

The parts of one normal_ are timed alone; what they leave of the whole call is taken by Python's
own calls, the look for ``__torch_function__``, and finding the checked arguments again.

torch.nn.init on host memory is a proxy: its own call on a GPU makes the same checks and
dispatches, and a launch besides.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import common
from benchmarks.timing import Contestant, Timing, as_json, duration, interleave
from tests.gpu_compile.recorded import activate, build
from tritoninit import Key, init, launched
from tritoninit.generator import HOST, words_of
from tritoninit.layout import is_whole, place, storage_view
from tritoninit.ready import Ready
from tritoninit.recipe import Normal
from tritoninit.sampler import DType

SHAPE = (64, 64)
NORMAL = Normal(0.0, 1.0)
CALLS: dict[str, Callable[[Any, Tensor], Any]] = {
    "constant_": lambda library, tensor: library.constant_(tensor, 0.5),
    "normal_": lambda library, tensor: library.normal_(tensor),
    "uniform_": lambda library, tensor: library.uniform_(tensor),
    "trunc_normal_": lambda library, tensor: library.trunc_normal_(tensor),
    "kaiming_uniform_": lambda library, tensor: library.kaiming_uniform_(tensor),
    "eye_": lambda library, tensor: library.eye_(tensor),
}


def pretend() -> None:
    """Let host tensors go the way of CUDA tensors."""
    init.call.fill_at_once = launched.fill_by_launch


class Nothing:
    """In the place of the launches of a recipe."""

    def fill(self, *_: Any) -> bool:
        return True


def steps(tensor: Tensor) -> list[Contestant]:
    """The parts of one normal_, from the whole call to the launch alone, and the other ways."""
    from tritoninit.backends import triton_, triton_launch, triton_whole

    key, size = Key(0), tensor.numel()
    region, shape = place(tensor, None, None)
    flat = storage_view(tensor, region)
    made: list[Any] = []
    cached = triton_.launch
    triton_.launch = lambda *launch: made.append(launch)
    triton_.fill(flat, region, shape, NORMAL, key, DType.FLOAT32)
    triton_.launch = cached
    kernel, programs, arguments = made[0]
    compiled = kernel.warmup(**arguments, grid=(1,))
    values = triton_launch.arranged(kernel, arguments)
    start = triton_launch.starter(compiled, len(values))
    known = (7, compiled.function, compiled.packed_metadata, None, None, None)
    launches = triton_whole.Launches(NORMAL, DType.FLOAT32, shaped=False)
    unlaunched = Ready(NORMAL, tensor.dtype)
    vars(unlaunched)["launches"] = Nothing()
    way = triton_.fill
    return [
        Contestant("the call", partial(init.normal_, tensor)),
        Contestant("the call, with a Key", partial(init.normal_, tensor, generator=key)),
        Contestant("1 dense, seen by no mode", partial(is_whole, tensor)),
        Contestant(
            "2 contiguous, allocated", partial(launched.fill_by_launch, tensor, unlaunched, key)
        ),
        Contestant("3 the draw of 64 bits", partial(words_of, None, HOST)),
        Contestant("4 a prepared launch", partial(launches.fill, tensor, size, 0, 0)),
        Contestant("  of it, the C function", partial(start, programs, 7, values)),
        Contestant("a region", partial(way, flat, region, shape, NORMAL, key, DType.FLOAT32)),
        Contestant("a launch, cached", partial(cached, kernel, programs, arguments)),
        Contestant("Triton's launcher", partial(compiled.run, programs, 1, 1, *known, *values)),
        Contestant("a launch by Triton", partial(kernel[(programs,)], **arguments)),
    ]


def show(name: str, timing: Timing) -> None:
    """One row on the terminal."""
    print(f"  {name:28}{duration(timing.median_s):>10}  least {duration(timing.min_s)}")


def main() -> None:
    """Time, print, and write the file."""
    options = common.parser("The host's share of a call on a GPU").parse_args()
    cpu = torch.device("cpu")
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        activate()
        pretend()
        facts = common.environment(cpu)
        print(common.describe(facts))
        tensor, one = torch.empty(SHAPE), torch.empty(1, 1)
        results = []
        for name, call in CALLS.items():
            contestants = [
                Contestant("tritoninit, before the driver", partial(call, init, tensor)),
                Contestant("torch.nn.init, on the CPU", partial(call, torch.nn.init, one)),
            ]
            timings = interleave(contestants, cpu, options.quick)
            print(name)
            for label, timing in timings.items():
                show(label, timing)
            results.append({"op": name, "timings": as_json(timings)})
        parts = interleave(steps(tensor), cpu, options.quick)
        print("of normal_")
        for label, timing in parts.items():
            show(label, timing)
    document = {"benchmark": "launch", "environment": facts, "quick": options.quick}
    results.append({"op": "parts of normal_", "timings": as_json(parts)})
    common.write_json(options.json, {**document, "results": results})


if __name__ == "__main__":
    main()
