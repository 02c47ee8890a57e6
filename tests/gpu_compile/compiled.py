"""Compile the project's kernels ahead of time, for GPUs that need not be there.

    python -m tests.gpu_compile.compiled sm_90 listings.json

writes the listings of every variant for a target.  It runs in a process of its own, because
Triton's interpreter, once switched on, replaces the compiler for the whole process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.language import str_to_ty
from triton.runtime import driver

from tests.gpu_compile.variants import (
    BROKEN,
    DIGEST,
    DIGEST_AXES,
    DOUBLE,
    DOUBLE_PARAMS,
    LAYOUTS,
    OPERATIONS,
    PARAMS,
    SAMPLERS,
    SPARSE,
    TABLES,
    TARGETS,
    Target,
    Variant,
    variants,
)
from tritoninit.backends import triton_digest, triton_table
from tritoninit.backends.table import GROUP, WORD
from tritoninit.backends.triton_ import COLUMNS, REGISTERS, ROWS, WARPS, block_of
from tritoninit.kernels.digest import digest
from tritoninit.kernels.fill import fill
from tritoninit.kernels.rows import fill_rows
from tritoninit.kernels.sparse import column_thresholds
from tritoninit.kernels.table import fill_table

TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"


class Listing(NamedTuple):
    """What a kernel became: PTX and SASS, or AMD GCN assembly."""

    samples: int  # a thread computes
    ptx: str = ""
    sass: str = ""
    usage: str = ""  # cuobjdump -res-usage
    amdgcn: str = ""


@triton.jit
def operation(out, OPERATION: tl.constexpr, SIZE: tl.constexpr):
    """One floating-point operation an element, and nothing else."""
    lanes = tl.arange(0, SIZE)
    value = tl.load(out + lanes)
    if OPERATION == "sqrt_rn":
        value = tl.sqrt(value)
    elif OPERATION == "div_rn":
        value = value / tl.load(out + SIZE + lanes)
    elif OPERATION == "approximate":
        value = tl.log(tl.sqrt(value))
    else:
        tl.static_assert(OPERATION == "contracted")
        value = value * value + tl.load(out + SIZE + lanes)
    tl.store(out + lanes, value)


def blocks(variant: Variant) -> int:
    """Counters a program, as the launches choose them."""
    if variant.layout in TABLES:
        return block_of(variant.kind, False, False)
    layout = LAYOUTS[variant.layout]
    scattered = bool(layout["STRIDED"]) or ("AXES" in layout and not layout["ALIGNED"])
    return block_of(variant.kind, scattered, bool(layout["WIDE"]), variant.dtype == DOUBLE)


def elements(variant: Variant) -> int:
    """Elements a program."""
    if variant.kind == DIGEST:
        return triton_digest.block_of(DIGEST_AXES[variant.layout])
    if variant.layout in TABLES and variant.kind == "constant":
        return triton_table.TILE_BYTES * 8 // int(variant.dtype[1:])
    return (2 if variant.dtype == DOUBLE and variant.kind != "mask" else 4) * blocks(variant)


def numbers(variant: Variant) -> tuple[str, ...]:
    """The types of a kind's constants: of float64 each is passed in halves."""
    if variant.dtype == DOUBLE:
        return ("i64",) * (2 * DOUBLE_PARAMS[variant.kind])
    return ("fp32",) * PARAMS[variant.kind]


def source(variant: Variant) -> ASTSource:
    """The kernel with the types of its arguments."""
    constants: dict[str, Any]
    if variant.kind in OPERATIONS + BROKEN:
        kernel = operation
        constants = {"OPERATION": variant.kind, "SIZE": elements(variant)}
        types: dict[str, Any] = {"out": f"*{variant.dtype}"}
    elif variant.kind == SPARSE:
        kernel = column_thresholds
        constants = {"ROWS": ROWS, "COLUMNS": COLUMNS}
        types = {"threshold": "*u32", "tie": "*u32", "seed": "u64", "offset": "u64"}
    elif variant.kind == DIGEST:
        kernel = digest
        constants = {"AXES": DIGEST_AXES[variant.layout], "BLOCK": elements(variant)}
        types = {"table": "*i64", "data": f"*{variant.dtype}", "key": "u64"}
    elif variant.layout in TABLES:
        return table(variant)
    else:
        layout = LAYOUTS[variant.layout]
        kernel = fill_rows if "AXES" in layout else fill
        constants = {"KIND": variant.kind, "BLOCK": blocks(variant), **layout}
        types = {
            "out": f"*{variant.dtype}",
            "threshold": "*u32",
            "tie": "*u32",
            "constants": numbers(variant),
            "seed": "u64",
            "offset": "u64",
            "slots": "u32",
            "row_slots": "u32",
        }
        for axis in ("", 1, 2, 3):
            types |= {f"row_{name}{axis}": "u32" for name in ("size", "inverse", "shift")}
    names = kernel.arg_names
    signature = {n: "constexpr" if n in constants else types.get(n, "i64") for n in names}
    paths = {(names.index(name),): value for name, value in constants.items()}
    return ASTSource(kernel, signature, paths, {})


def table(variant: Variant) -> ASTSource:
    """The table kernel; its arrays lie at 16 bytes."""
    given = numbers(variant) if variant.kind in SAMPLERS else ()
    rows = variant.layout == "table of rows"
    constants: dict[str, Any] = {
        "DTYPE": str_to_ty(variant.dtype, None),
        "KIND": variant.kind,
        "WORDS": 9 if variant.kind == "diagonal" or rows else 5,
        "COUNT": len(given),
        "TILE": elements(variant),
        "GROUP": GROUP,
        "ALIGNED": TABLES[variant.layout],
        "ROWS": rows,
    }
    types = {"groups": "*i32", "tiles": "*i32", "words": "*i64"}
    types["constants"] = "*i64" if variant.dtype == DOUBLE else "*fp32"
    names = fill_table.arg_names
    signature = {n: "constexpr" if n in constants else types[n] for n in names}
    paths = {(names.index(name),): value for name, value in constants.items()}
    aligned = {(names.index(name),): [["tt.divisibility", WORD]] for name in types}
    return ASTSource(fill_table, signature, paths, aligned)


def compile_variant(variant: Variant, target: Target) -> Listing:
    """Compile as the launches do: WARPS warps, no contraction of products and sums."""
    options = {"num_warps": WARPS, "enable_fp_fusion": variant.kind == "contracted"}
    if target.backend == "cuda" and variant.kind != DIGEST:
        options["maxnreg"] = REGISTERS
    gpu = GPUTarget(target.backend, target.arch, target.warp)
    driver._active = SimpleNamespace(get_current_target=lambda: gpu)  # kernels ask for it too
    kernel = triton.compile(source(variant), target=gpu, options=options)
    samples = elements(variant) // (WARPS * target.warp)
    if target.backend == "hip":
        return Listing(samples, amdgcn=kernel.asm["amdgcn"])
    with tempfile.NamedTemporaryFile(suffix=".cubin") as cubin:
        cubin.write(kernel.asm["cubin"])
        cubin.flush()
        sass = _tool("nvdisasm", "-c", cubin.name)
        usage = _tool("cuobjdump", "-res-usage", cubin.name)
    return Listing(samples, ptx=kernel.asm["ptx"], sass=sass, usage=usage)


def _tool(name: str, *arguments: str) -> str:
    command = [str(TOOLS / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main(target: str, path: str) -> None:
    listings = {
        "/".join(variant): compile_variant(variant, TARGETS[target])._asdict()
        for variant in variants(target)
    }
    Path(path).write_text(json.dumps(listings))


if __name__ == "__main__":
    main(*sys.argv[1:])
