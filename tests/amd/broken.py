"""Fills as a compiler makes them that keeps the rules, and as two make them that do not.

    python -m tests.amd.broken fills.json

writes, for each way to compile and each fill, whether the machine's bits are the host's.  It runs
in a process of its own, which takes the machine for a GPU.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from tests.amd.device import arrange

# What is added to the options of every launch.
COMPILERS: dict[str, dict[str, Any]] = {
    "right": {},
    "contracting": {"enable_fp_fusion": True},
    "flushing": {"allow_flush_denorm": True},
}
SIZE = 1000


def fills() -> dict[str, bool]:
    """Whether each fill gives the host's bits."""
    from tritoninit import Key
    from tritoninit.backends import triton_
    from tritoninit.fill import fill
    from tritoninit.layout import DTYPES
    from tritoninit.recipe import Normal, TruncNormal
    from tritoninit.region import Region

    cases = {
        "normal float32": (Normal(0.5, 0.02), torch.float32),
        "normal float16": (Normal(0.5, 0.02), torch.float16),
        "normal float64": (Normal(0.5, 0.02), torch.float64),
        "truncated far away": (TruncNormal(0.0, 1.0, 8.0, 9.0), torch.float32),
        "subnormal": (Normal(0.0, 1e-40), torch.float32),
    }
    key, region, found = Key(5), Region.whole((SIZE,), (1,)), {}
    for name, (recipe, dtype) in cases.items():
        ours, theirs = torch.empty(SIZE, dtype=dtype), torch.empty(SIZE, dtype=dtype)
        triton_.fill(ours, region, (SIZE,), recipe, key, DTYPES[dtype])
        fill(theirs, recipe, key)
        found[name] = torch.equal(ours.view(torch.uint8), theirs.view(torch.uint8))
    return found


def main(path: str) -> None:
    device = arrange("942", "nearest")
    from tritoninit.backends import triton_

    options = triton_.compile_options
    found = {}
    for name, added in COMPILERS.items():
        triton_.compile_options = lambda added=added: options() | added
        found[name] = fills()
        if device.failure is not None:
            raise device.failure
    Path(path).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
