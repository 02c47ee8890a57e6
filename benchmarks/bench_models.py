"""Whole models from meta: materialize beside to_empty and a loop of torch.nn.init.

    python -m benchmarks.bench_models [--only "Llama 3 8B"]

On a GPU with as many layers as fit, on a CPU cut down to the sizes that the results state.
Allocation is part of every time, building on meta is not; planning is part of ``materialize``
and stands beside it.  The ceiling is ``to_empty`` and one ``fill_`` a tensor.  ``busy`` is how
long the GPU's kernels run in one call.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

import tritoninit
from benchmarks import common, gate
from benchmarks.cases import Cases, Row
from benchmarks.models import WORKLOADS, Decoder, ResNet, Workload, init
from benchmarks.timing import Contestant, Timing, as_json, busy, duration, interleave, runnable

SHARE = 0.85  # of the free memory
TINY = (
    Decoder(layers=1, width=64, groups=16, hidden=32, vocabulary=130, experts=3),
    ResNet(blocks=(1, 1)),
)


class Held:
    """One model, put back on meta before every sample."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def contestant(self, name: str, work: Callable[[nn.Module], Any]) -> Contestant:
        """``work`` on the model, as a contestant."""
        return Contestant(name, lambda: work(self.model), prepare=lambda: self.model.to("meta"))


def loop(model: nn.Module, device: torch.device, library: Any) -> None:
    """``to_empty``, then the init code module by module, children first."""
    model.to_empty(device=device)
    with torch.no_grad():
        model.apply(lambda module: init(module, library))


def filled(model: nn.Module, device: torch.device) -> None:
    """``to_empty``, then a constant everywhere."""
    model.to_empty(device=device)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.fill_(1)


def check(device: torch.device) -> None:
    """Exit unless small models' random tensors are the initializer's values for their names."""
    for sizes in TINY:
        for dtype in (torch.float32, torch.bfloat16):
            model = sizes.build(dtype)
            tritoninit.materialize(model, device, seed=0, init_fn=init)
            for name, module in model.named_modules():
                if not isinstance(module, nn.Linear | nn.Embedding | nn.Conv2d):
                    continue
                values = module.weight.detach().cpu()
                module.to_empty(device="cpu")
                key = tritoninit.Key(0).fold_in(f"{name}.weight")
                init(module, tritoninit.init, generator=key)
                if not gate.same(values, module.weight):
                    sys.exit(f"conformance gate failed, so nothing was timed: {name} {dtype}")
    print(f"conformance gate passed on {device}", flush=True)


def kernels(
    contestants: list[Contestant], device: torch.device, where: str, skipped: dict[str, str]
) -> dict[str, float | None]:
    """``busy`` of every contestant; timings are not lost where the profiler fails."""
    found = {}
    for contestant in contestants:
        try:
            found[contestant.name] = busy(contestant, device)
        except Exception as error:
            skipped[f"busy of {contestant.name}, {where}"] = common.reason(error)
    return found


def measure(
    workload: Workload, device: torch.device, quick: bool, skipped: dict[str, str]
) -> tuple[Row, str]:
    """What a workload is made of, and the timings of every contestant."""
    model = workload.sizes.build(getattr(torch, workload.dtype))
    held = Held(model)
    contestants = [
        held.contestant(
            "tritoninit.materialize",
            lambda m: tritoninit.materialize(m, device, seed=0, init_fn=init),
        ),
        held.contestant("to_empty, tritoninit.init", lambda m: loop(m, device, tritoninit.init)),
        held.contestant("to_empty, torch.nn.init", lambda m: loop(m, device, nn.init)),
        held.contestant("to_empty, fill_", lambda m: filled(m, device)),
    ]
    contestants = runnable(contestants, skipped, workload.name)
    timings = interleave(contestants, device, quick)
    planning = held.contestant("plan", lambda m: tritoninit.plan(m, seed=0, init_fn=init))
    timings |= interleave([planning], torch.device("cpu"), quick)
    tensors = [*model.parameters(), *model.buffers()]
    described = {
        "workload": workload.name,
        "sizes": workload.described(),
        "dtype": workload.dtype,
        "tensors": len(tensors),
        "elements": sum(tensor.numel() for tensor in tensors),
        "bytes": sum(tensor.nbytes for tensor in tensors),
        "busy_s": kernels(contestants, device, workload.name, skipped),
    }
    model.to("meta")
    return {**described, "timings": as_json(timings)}, lines(described, timings)


def lines(described: Row, timings: dict[str, Timing]) -> str:
    """Some rows on the terminal."""
    found = [
        f"{described['workload']}: {described['elements'] / 1e6:.5g} M elements in"
        f" {described['tensors']} tensors, {described['dtype']}, {described['sizes']}"
    ]
    ours = timings["tritoninit.materialize"].median_s
    for name, timing in timings.items():
        rate = described["bytes"] / timing.median_s / 1e9
        kernels = described["busy_s"].get(name)
        found.append(
            f"  {name:26}{duration(timing.median_s):>10}{rate:>9.3g} GB/s"
            f"{timing.median_s / ours:>8.2f}x  {timing.rounds} rounds"
            + (f"  busy {duration(kernels)}" if kernels else "")
        )
    return "\n".join(found)


def main() -> None:
    """Check, time, print, and write the file."""
    parser = common.parser("Whole models from meta")
    names = [workload.name for workload in WORKLOADS]
    parser.add_argument("--only", choices=names, help="one of the models")
    options = parser.parse_args()
    device = common.apply(options)
    run = Cases("models", options, device)
    check(device)
    run.announce()
    most = int(SHARE * common.memory(device))
    for workload in WORKLOADS:
        if options.only in (None, workload.name):
            scaled = workload.scaled("cpu" if options.quick else device.type, most)
            run.run(workload.name, partial(measure, scaled, device, options.quick, run.skipped))
    run.conclude()


if __name__ == "__main__":
    main()
