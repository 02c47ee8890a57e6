"""What every kernel variant costs on NVIDIA's targets, as recorded in counts.json.

    python -m tests.gpu_compile.counts

records it anew, after a change that is meant to cost or to save something.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import triton

from tests.gpu_compile.conftest import compile_all
from tests.gpu_compile.listing import WIDE_STORE, full_tile, instructions, resource
from tests.gpu_compile.variants import BROKEN, DIGEST, NVIDIA, OPERATIONS, SPARSE, Variant

RECORDED = Path(__file__).with_name("counts.json")
TRITON: str = json.loads(RECORDED.read_text())["triton"]
LEFT_OUT = (*OPERATIONS, *BROKEN)


def cost(kernel: SimpleNamespace, variant: Variant) -> dict[str, float]:
    """Registers, all instructions, and a sample's on the path of a full tile."""
    found: dict[str, float] = {
        "all": len(instructions(kernel.sass)),
        "registers": resource(kernel.usage, "REG"),
    }
    if variant.kind != SPARSE:  # its loops are the longer the more rows there are
        through = WIDE_STORE if WIDE_STORE in kernel.sass else "STG"
        path = full_tile(kernel.sass, "LDG" if variant.kind == DIGEST else through)
        found["path"] = round(len(path) / kernel.samples, 2)
    return found


def costs(listings: Any) -> dict[str, dict[str, float]]:
    """The costs of all variants, by target and name."""
    return {
        "/".join((target, *variant)): cost(kernel, variant)
        for target in NVIDIA
        for variant, kernel in listings[target].items()
        if variant.kind not in LEFT_OUT
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = costs(compile_all(Path(folder)))
    lines = [f"  {json.dumps(name)}: {json.dumps(cost)}" for name, cost in found.items()]
    body = ",\n".join(lines)
    RECORDED.write_text(f'{{\n "triton": "{triton.__version__}",\n "costs": {{\n{body}\n }}\n}}\n')
    print(f"recorded {len(found)} variants in {RECORDED}")


if __name__ == "__main__":
    main()
