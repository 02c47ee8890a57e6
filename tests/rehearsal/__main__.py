"""Run what ``benchmarks/run`` runs on a GPU, without one, on small sizes: the files and the page.

    python -m tests.rehearsal FOLDER

fills host memory; with PTX=90 the kernels are launched, and a machine runs their PTX (2 minutes).
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks import common, gate, models, peers, render, timing
from benchmarks.bench_models import TINY
from tests.rehearsal.stand_in import BENCHMARKS, EVERYONE, install
from tritoninit.fill import fill

CARD, FREE_BYTES = "NVIDIA H100 80GB HBM3, rehearsed", 78 << 30
PTX = os.environ.get("PTX")
FAULT = "no GPU to draw on"
SCRIPT = common.ROOT / "benchmarks" / "run"
SMALL: dict[str, dict[str, Any]] = {
    "bench_single": {
        "SIZES": {"cuda": "2^0,2^8"},
        "FEW": "2^8",
        "LARGE": (1 << 8,),
        "SHAPES": {"dirac_": [(8, 8, 3)], "sparse_": [(16, 16)], "orthogonal_": [(16, 16)]},
    },
    "bench_shards": {"SIZE": {"cuda": 512}},
    "bench_model": {"WIDTH": 64, "LAYERS": {"cuda": 1}},
    "bench_fingerprint": {"SIZES": {"cuda": (1 << 12,)}},
    "bench_orthogonal": {
        "SHAPES": [(64, 64)],
        "LARGEST": {"cuda": [(96, 96)]},
        "MANY": [(3, (8, 8))],
    },
    "bench_tuning": {"NUMEL": 1 << 13, "DIFFERENT": ({}, {"block": 512}, {"resident": 3})},
}


def shrink() -> None:
    """Sizes and rounds that take no time; on host memory the kernel that is tuned is none."""
    for module, values in SMALL.items():
        for name, value in values.items():
            held = importlib.import_module(f"benchmarks.{module}")
            assert hasattr(held, name), f"{module}.{name}"
            setattr(held, name, value)
    timing.LOOP_S["cuda"], timing.ROUNDS, gate.SHAPE = 1e-5, (2, 2), (13, 67)
    small = zip(models.WORKLOADS, (TINY[0], TINY[0], TINY[1], TINY[0]), strict=True)
    workloads = tuple(replace(workload, sizes=sizes) for workload, sizes in small)
    importlib.import_module("benchmarks.bench_models").WORKLOADS = workloads
    peers._fault_of_jax = lambda: FAULT
    if not PTX:
        tuned = importlib.import_module("benchmarks.tuning_kernel")
        tuned.fill = lambda out, recipe, key, *_: fill(out, recipe, key)


def timed() -> list[tuple[str, str]]:
    """The benchmarks that the script runs on a GPU, and the names of their files."""
    return re.findall(r"^ +timed (\w+) (\w+) \d+$", SCRIPT.read_text(), re.MULTILINE)


def main(folder: Path) -> None:
    device = None
    if PTX:
        torch.cuda.is_available()  # torch would take the driver's stand-in for a broken driver
        from tests.ptx.device import arrange

        device = arrange(PTX, "any")
    install(CARD, FREE_BYTES, EVERYONE if PTX else BENCHMARKS)
    shrink()
    for module, name in timed():
        print(f"== {module}", flush=True)
        sys.argv = [module, "--seconds", "60", "--json", str(folder / f"{name}.json")]
        try:
            importlib.import_module(f"benchmarks.{module}").main()
        finally:
            if device is not None and device.failure is not None:
                raise device.failure
    sys.argv = ["render", str(folder)]
    render.main()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
