"""Print what each sampler costs on sm_90: python -m tests.gpu_compile.report

Instructions a sample on the path of a full, aligned tile, registers, and the mix of the
instructions that issue on the same datapath.
"""

from __future__ import annotations

from tests.gpu_compile.compiled import blocks, compile_variant
from tests.gpu_compile.listing import WIDE_STORE, full_tile, mix, resource
from tests.gpu_compile.variants import (
    DOUBLE,
    DOUBLE_PARAMS,
    PARAMS,
    SAMPLERS,
    TARGETS,
    Variant,
    dtypes_of,
)

TARGET = "sm_90"
TABLED = (*SAMPLERS, "diagonal")
FAR = ("tail", "tails")  # of float64 they are never in a table
COLUMNS = ("FFMA", "FMUL", "DFMA", "DMUL", "DADD", "IMAD", "LOP3")


def main() -> None:
    head = ["kind", "dtype", "layout", "instructions a sample", *COLUMNS]
    head += ["registers", "stack", "counters"]
    print("|", " | ".join(head), "|")
    print("|", " | ".join("---" for _ in head), "|")
    for kind in PARAMS:
        for dtype in (*dtypes_of(kind), *[DOUBLE] * (kind in DOUBLE_PARAMS)):
            tabled = kind in TABLED and not (dtype == DOUBLE and kind in FAR)
            for layout in ("contiguous", "rows", *["table"] * tabled):
                variant = Variant(kind, dtype, layout)
                kernel = compile_variant(variant, TARGETS[TARGET])
                path = full_tile(kernel.sass, WIDE_STORE if WIDE_STORE in kernel.sass else "STG")
                found = mix(path)
                shares = [len(path), *(found[name] for name in COLUMNS)]
                cells = [f"{share / kernel.samples:.2f}" for share in shares]
                for name in ("REG", "STACK"):
                    cells.append(str(resource(kernel.usage, name)))
                print("|", " | ".join([kind, dtype, layout, *cells, str(blocks(variant))]), "|")


if __name__ == "__main__":
    main()
