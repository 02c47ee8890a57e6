"""Planning large models on one core: what init code would write, without memory.

    python -m benchmarks.bench_plan

Two models: 49,920 tensors, one an expert's matrix, and a dense Llama of 405 B parameters, of
plain modules and as transformers' own.  Each is built on meta with and without ``record()``, and
then planned.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable

import torch
from torch import nn

import tritoninit
from benchmarks import common
from benchmarks.timing import Contestant, as_json, duration, interleave
from tritoninit.recipe import Uniform
from tritoninit.stream import parameter_key

LAYERS, EXPERTS = 65, 256
HIDDEN, WIDE, KEYS, VOCABULARY, DEPTH = 16384, 53248, 1024, 128256, 126  # Llama 3 405B


class Expert(nn.Module):
    """Three small matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.w1 = nn.Linear(64, 128, bias=False)
        self.w2 = nn.Linear(128, 64, bias=False)
        self.w3 = nn.Linear(64, 128, bias=False)


class Block(nn.Module):
    """A layer of the dense model."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.o = (nn.Linear(HIDDEN, HIDDEN, bias=False) for _ in range(2))
        self.k, self.v = (nn.Linear(HIDDEN, KEYS, bias=False) for _ in range(2))
        self.gate, self.up = (nn.Linear(HIDDEN, WIDE, bias=False) for _ in range(2))
        self.down = nn.Linear(WIDE, HIDDEN, bias=False)
        self.norms = nn.ModuleList(nn.RMSNorm(HIDDEN) for _ in range(2))


def experts(layers: int) -> Callable[[], nn.Module]:
    """A mixture of experts that are modules of their own."""

    def build() -> nn.Module:
        inner = (nn.ModuleList(Expert() for _ in range(EXPERTS)) for _ in range(layers))
        return nn.ModuleList(inner)

    return build


def dense() -> nn.Module:
    """405 B parameters."""
    model = nn.Module()
    model.embedding = nn.Embedding(VOCABULARY, HIDDEN)
    model.layers = nn.ModuleList(Block() for _ in range(DEPTH))
    model.norm = nn.RMSNorm(HIDDEN)
    model.head = nn.Linear(HIDDEN, VOCABULARY, bias=False)
    return model


def llama() -> Callable[[], nn.Module] | None:
    """The same as transformers builds it; None without the library."""
    try:
        from benchmarks.transformers_models import transformers
    except ImportError:
        return None
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=WIDE,
        num_hidden_layers=DEPTH,
        num_attention_heads=128,
        num_key_value_heads=8,
    )
    return lambda: transformers.LlamaForCausalLM(copy.deepcopy(config))


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """The model, without a record."""
    with torch.device("meta"):
        return build()


def recorded(build: Callable[[], nn.Module]) -> nn.Module:
    """The model, with a record."""
    with tritoninit.record():
        return build()


def check(build: Callable[[], nn.Module]) -> None:
    """Exit unless a small plan holds every tensor under its own key, recorded or not."""
    plans = [tritoninit.plan(make(build), seed=0) for make in (on_meta, recorded)]
    bad = plans[0].diff(plans[1])
    for fill in plans[0].fills:
        (write,) = fill.writes
        if not isinstance(write.recipe, Uniform) or write.key != parameter_key(0, fill.name):
            sys.exit(f"a wrong plan, so nothing was timed: {fill.name}: {fill.recipe}")
    if bad:
        sys.exit(f"record() changes the plan, so nothing was timed: {bad}")


def main() -> None:
    """Check, time, print, and write the file."""
    options = common.parser("Planning large models").parse_args()
    options.threads = 1
    device = common.apply(options)
    check(experts(1))
    facts = common.environment(device)
    print(common.describe(facts))
    cases = {
        "experts": experts(2 if options.quick else LAYERS),
        "405 B dense": dense,
        "405 B dense, transformers": llama(),
    }
    results = []
    for name, build in cases.items():
        if build is None:
            continue
        plain, known = on_meta(build), recorded(build)
        shown = tritoninit.plan(plain)
        contestants = [
            Contestant("build on meta", lambda b=build: on_meta(b)),
            Contestant("build under record()", lambda b=build: recorded(b)),
            Contestant("plan", lambda m=plain: tritoninit.plan(m)),
            Contestant("plan, recorded", lambda m=known: tritoninit.plan(m)),
        ]
        timings = interleave(contestants, torch.device("cpu"), options.quick)
        label = f"{name}: {len(shown.fills)} tensors, {shown.numel / 1e9:.4g} B elements"
        for contestant, timing in timings.items():
            print(f"{label:60}{contestant:24}{duration(timing.median_s):>10}", flush=True)
        results.append({"case": label, "timings": as_json(timings)})
    common.write_json(
        options.json,
        {
            "benchmark": "plan",
            "environment": facts,
            "quick": options.quick,
            "results": results,
        },
    )


if __name__ == "__main__":
    main()
