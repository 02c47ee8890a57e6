"""A whole model from meta: tritoninit.materialize beside to_empty and torch.nn.init.

    python -m benchmarks.bench_model [--layers 28] [--dtype bfloat16]

The model is the demo's, untied, with its own init code (truncated normals) and with plain
normals.  Allocation is part of every time; building the model on meta is not.  The ceiling is
``to_empty`` and one ``fill_`` a tensor.
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
from benchmarks.timing import Contestant, as_json, duration, interleave, runnable
from tritoninit.demo_model import HEAD, STD, Llama, build

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
LAYERS = {"cpu": 4, "cuda": 28}
WIDTH = 1280


def normals(module: nn.Module) -> None:
    """Plain normals for matrices, the modules' own init code for the rest."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=STD)
    elif isinstance(module, nn.RMSNorm) or type(module).__name__ == "Rotary":
        module.reset_parameters()


def reset(module: nn.Module) -> None:
    """The module's own init code."""
    if hasattr(module, "reset_parameters"):
        module.reset_parameters()


WORKLOADS: dict[str, Callable[[nn.Module], None] | None] = {
    "truncated normals": None,
    "normals": normals,
}


def check_model(device: torch.device, dtype: torch.dtype) -> None:
    """Exit unless a small model's matrices are the initializer's values for their names."""
    model = build(HEAD, 1, False, dtype)
    tritoninit.materialize(model, device, seed=0, init_fn=normals)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2:
            key = tritoninit.Key(0).fold_in(name)
            one = torch.empty(parameter.shape, dtype=dtype)
            if not gate.same(parameter, tritoninit.init.normal_(one, std=STD, generator=key)):
                sys.exit(f"conformance gate failed, so nothing was timed: {name}")


class Held:
    """A model on meta, built anew before every sample."""

    def __init__(self, layers: int, dtype: torch.dtype) -> None:
        self.layers, self.dtype = layers, dtype
        self.model: Llama | None = None

    def prepare(self) -> None:
        """Drop the model of the last sample and build another."""
        self.model = None
        self.model = build(WIDTH, self.layers, False, self.dtype)

    def contestant(self, name: str, work: Callable[[Llama], Any]) -> Contestant:
        """``work`` on the model, as a contestant."""

        def call() -> None:
            if self.model is None:
                raise RuntimeError("prepare was not called")
            work(self.model)
            self.model = None

        return Contestant(name, call, prepare=self.prepare)


def initialise(model: Llama, device: torch.device, init_fn: Callable[..., None] | None) -> None:
    """``to_empty``, then torch.nn.init module by module, children first."""
    model.to_empty(device=device)
    with torch.no_grad():
        model.apply(init_fn or reset)


def filled(model: Llama, device: torch.device) -> None:
    """``to_empty``, then a constant everywhere."""
    model.to_empty(device=device)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.fill_(0.5)


def measure(
    workload: str, layers: int, dtype: torch.dtype, device: torch.device, run: Cases
) -> tuple[Row, str]:
    """The timings of every contestant, and their lines on the terminal."""
    init_fn = WORKLOADS[workload]
    held = Held(layers, dtype)
    contestants = [
        held.contestant(
            "tritoninit.materialize",
            lambda m: tritoninit.materialize(m, device, seed=0, init_fn=init_fn),
        ),
        held.contestant("to_empty, torch.nn.init", lambda m: initialise(m, device, init_fn)),
        held.contestant("to_empty, fill_", lambda m: filled(m, device)),
    ]
    contestants = runnable(contestants, run.skipped, workload)
    timings = interleave(contestants, device, run.quick)
    lines = (
        f"{workload:18}{contestant:24}{duration(timing.median_s):>10}"
        f"{run.facts['bytes'] / timing.median_s / 1e9:>9.3g} GB/s  {timing.rounds} rounds"
        for contestant, timing in timings.items()
    )
    return {"workload": workload, "timings": as_json(timings)}, "\n".join(lines)


def main() -> None:
    """Check, time, print, and write the file."""
    parser = common.parser("A whole model from meta")
    parser.add_argument("--layers", type=common.positive, help="default: 4 on CPU, 28 on CUDA")
    parser.add_argument("--dtype", choices=DTYPES, help="default: float32 on CPU, else bfloat16")
    options = parser.parse_args()
    device = common.apply(options)
    run = Cases("model", options, device)
    name = options.dtype or {"cpu": "float32", "cuda": "bfloat16"}[device.type]
    dtype = DTYPES[name]
    layers = 1 if options.quick else options.layers or LAYERS[device.type]
    gate.check(device, [dtype], gate.SHAPE[0] * gate.SHAPE[1])
    check_model(device, dtype)
    run.announce()
    shown = tritoninit.plan(build(WIDTH, layers, False, dtype), seed=0)
    print(f"{shown.numel / 1e6:.1f} M elements, {len(shown.fills)} tensors, {name}")
    run.facts = {
        "dtype": name,
        "layers": layers,
        "elements": shown.numel,
        "tensors": len(shown.fills),
        "bytes": shown.nbytes,
    }
    for workload in WORKLOADS:
        run.run(workload, partial(measure, workload, layers, dtype, device, run))
    run.conclude()


if __name__ == "__main__":
    main()
