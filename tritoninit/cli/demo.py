"""``tritoninit demo``: a language model of half a billion parameters from meta to memory.

Builds the model on meta, prints the plan, materialises it and fills tensors of the same shapes
with torch.nn.init, in turn, and compares a sample of elements with the integer oracle.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import re
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from tritoninit.demo_model import (
    HEAD,
    VOCABULARY,
    Llama,
    build,
    inverse_frequencies,
)
from tritoninit.materialize import materialize, plan
from tritoninit.oracle import element
from tritoninit.plan import Fill, Plan, headings, print_table, readable_bytes, table_row
from tritoninit.recipe import Constant, Normal, TruncNormal
from tritoninit.sampler import DType
from tritoninit.stream import STREAM_VERSION

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
SAMPLES = 64  # random elements of every checked tensor, beside the first and the last
LAYER = re.compile(r"^layers\.(\d+)\.")
BITS = {2: torch.int16, 4: torch.int32}
ROUNDS = 3  # the first pays for memory that the machine has not used before


class Check(NamedTuple):
    """How many sampled elements there were, and those that differ: (name, index)."""

    sampled: int
    different: list[tuple[str, int]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The demo's options."""
    parser.add_argument(
        "--device", help="where to allocate, such as cpu or cuda:1 (default: cuda if there is one)"
    )
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        help="of the parameters (default: bfloat16 on cuda, else float32)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of all values (default: 0)")
    parser.add_argument("--dim", type=int, default=1280, help=f"width, a multiple of {HEAD}")
    parser.add_argument("--layers", type=int, default=28, help="decoder layers (default: 28)")
    parser.add_argument("--untied", action="store_true", help="give the head its own weight")
    parser.add_argument("--json", action="store_true", help="print the result alone, as JSON")


def run(options: argparse.Namespace) -> int:
    """Run the demo; 0 if every sampled element equals the oracle, 1 if not, 2 on bad options."""
    if options.dim < HEAD or options.dim % HEAD or options.layers < 1:
        print(
            f"tritoninit demo: --dim must be a positive multiple of {HEAD} and --layers at least"
            f" 1, got {options.dim} and {options.layers}",
            file=sys.stderr,
        )
        return 2
    has_cuda = torch.cuda.is_available()
    device = torch.device(options.device or ("cuda" if has_cuda else "cpu"))
    dtype_name = options.dtype or ("bfloat16" if device.type == "cuda" else "float32")
    dtype = DTYPES[dtype_name]
    say: Callable[[str], None] = (lambda _: None) if options.json else print

    model = build(options.dim, options.layers, not options.untied, dtype)
    made = plan(model, options.seed)
    head = "untied" if options.untied else "tied"
    say(
        f"A Llama-style decoder on meta: {options.layers} layers of width {options.dim},"
        f" {VOCABULARY:,} tokens, {head} head, {dtype_name}: {made.numel / 1e6:.1f} M elements.\n"
    )
    if not options.json:
        print_table([headings(sharded=False), *grouped(made)], made.totals())
    say("\nCompiling the kernels on a small model first; the timings are of what follows.")
    small = materialize(build(HEAD, 1, not options.untied, dtype), device, options.seed)
    filled_by_torch(small, device)

    times = []
    for _ in range(ROUNDS):
        model = build(options.dim, options.layers, not options.untied, dtype)
        ours = timed(device, partial(materialize, model, device, options.seed))
        times.append((ours, timed(device, partial(filled_by_torch, made, device))))
    seconds, torch_seconds = map(statistics.median, zip(*times, strict=True))
    check = compare(model, made)
    if check.different:
        name, index = check.different[0]
        print(
            f"{len(check.different)} of {check.sampled} sampled elements differ from the oracle;"
            f" the first is element {index} of {name}",
            file=sys.stderr,
        )
        return 1
    result = {
        "device": device_name(device),
        "dtype": dtype_name,
        "seed": options.seed,
        "stream_version": STREAM_VERSION,
        "elements": made.numel,
        "bytes": made.nbytes,
        "seconds": seconds,
        "gb_per_s": made.nbytes / seconds / 1e9,
        "torch_seconds": torch_seconds,
        "rounds": ROUNDS,
        "speedup": torch_seconds / seconds,
        "sampled": check.sampled,
        "equal": check.sampled,
    }
    if options.json:
        print(json.dumps(result))
        return 0
    rate = made.nbytes / 1e9
    say(
        f"\n{readable_bytes(made.nbytes)} on {result['device']}, allocation included,"
        f" medians of {ROUNDS} rounds in turn:\n"
        f"  tritoninit.materialize           {seconds:8.3f} s  {rate / seconds:8.2f} GB/s\n"
        f"  torch.empty, then torch.nn.init  {torch_seconds:8.3f} s"
        f"  {rate / torch_seconds:8.2f} GB/s\n"
        f"  {torch_seconds / seconds:.1f} times as fast\n"
        f"\n{check.sampled} of {check.sampled} sampled elements equal the oracle, bit for bit."
    )
    return 0


def device_name(device: torch.device) -> str:
    """The GPU's name, or the number of CPU threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({torch.get_num_threads()} threads)"


def timed(device: torch.device, work: Callable[[], object]) -> float:
    """Seconds until the device has done the work."""
    gc.collect()
    _wait(device)
    start = time.perf_counter()
    held = work()
    _wait(device)
    seconds = time.perf_counter() - start
    del held  # not before: giving memory back takes a tenth of the time of filling it
    return seconds


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def filled_by_torch(made: Plan, device: torch.device) -> list[Tensor]:
    """The same tensors, each filled once by torch.nn.init."""
    tensors = []
    for fill in made.fills:
        tensor = torch.empty(fill.shape, dtype=getattr(torch, fill.dtype), device=device)
        recipe = fill.writes[0].recipe
        if isinstance(recipe, Normal):
            torch.nn.init.normal_(tensor, recipe.mean, recipe.std)
        elif isinstance(recipe, TruncNormal):
            torch.nn.init.trunc_normal_(tensor, recipe.mean, recipe.std, recipe.a, recipe.b)
        elif isinstance(recipe, Constant):
            tensor.fill_(recipe.value)
        else:
            tensor.copy_(inverse_frequencies())
        tensors.append(tensor)
    return tensors


def grouped(made: Plan) -> list[tuple[str, ...]]:
    """The plan's rows, of the layers the first only."""
    layers = {int(match[1]) for fill in made.fills if (match := LAYER.match(fill.name))}
    rows = []
    for fill in made.fills:
        match = LAYER.match(fill.name)
        if match is None or match[1] == "0":
            name, *rest = table_row(fill, sharded=False)
            if match and len(layers) > 1:
                name += f"  (x {len(layers) - 1} more)"
            rows.append((name, *rest))
    return rows


def compare(model: Llama, made: Plan) -> Check:
    """Sampled elements of five kinds of tensor against their definition, as bits."""
    last = len(model.layers) - 1
    names = [
        "embedding.weight",
        "layers.0.attention.wq.weight",
        f"layers.{last}.feed_forward.w2.weight",
        f"layers.{last}.attention_norm.weight",
        "rotary.inverse_frequencies",
    ]
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    if "head.weight" in tensors:
        names.append("head.weight")
    fills = {fill.name: fill for fill in made.fills}
    choice = random.Random(0)
    sampled = 0
    different = []
    for name in names:
        tensor = tensors[name].detach().reshape(-1)
        places = {0, tensor.numel() - 1} | {
            choice.randrange(tensor.numel()) for _ in range(SAMPLES)
        }
        for index in sorted(places):
            sampled += 1
            if bits(tensor[index]) != bits(expected(fills[name], index)):
                different.append((name, index))
    return Check(sampled, different)


def bits(value: Tensor) -> int:
    """The stored bits of one element."""
    return int(value.reshape(1).cpu().view(BITS[value.element_size()]).item())


def expected(fill: Fill, index: int) -> Tensor:
    """One element by its definition."""
    dtype = getattr(torch, fill.dtype)
    (write,) = fill.writes
    if isinstance(write.recipe, Constant):
        return torch.tensor(write.recipe.value, dtype=dtype)
    if write.key is None:
        return inverse_frequencies()[index]
    stored = element(write.recipe, write.key, index, fill.shape, DType(fill.dtype))
    return torch.from_numpy(stored).view(dtype)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tritoninit.cli.demo", description=__doc__)
    add_arguments(parser)
    sys.exit(run(parser.parse_args()))
