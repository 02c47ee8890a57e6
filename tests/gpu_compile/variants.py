"""The kernel variants that are compiled without a GPU, and the targets they are compiled for."""

from __future__ import annotations

from typing import NamedTuple


class Target(NamedTuple):
    """A GPU architecture as Triton names it."""

    name: str
    backend: str
    arch: int | str
    warp: int  # threads


class Variant(NamedTuple):
    """One specialisation of ``fill``, ``fill_rows`` or ``fill_table``, or the others by name."""

    kind: str
    dtype: str
    layout: str


TARGETS = {
    target.name: target
    for target in (
        Target("sm_80", "cuda", 80, 32),
        Target("sm_90", "cuda", 90, 32),
        Target("sm_100", "cuda", 100, 32),
        Target("gfx942", "hip", "gfx942", 64),
    )
}
NVIDIA = [name for name, target in TARGETS.items() if target.backend == "cuda"]

# Constants each kind takes (``tritoninit/sampler.py``).
PARAMS = {
    "uniform": 2,
    "normal": 2,
    "clamped_normal": 4,
    "rational": 6,
    "log": 6,
    "tail": 19,
    "tails": 21,
    "constant": 1,
    "diagonal": 0,
    "mask": 0,
    "words": 0,
}
SAMPLERS = [kind for kind, count in PARAMS.items() if count > 1]
DTYPES = ("fp32", "bf16", "fp16")
DOUBLE = "fp64"
# The kinds of float64 and the constants they take, each passed as two integers.
DOUBLE_PARAMS = {kind: PARAMS[kind] for kind in PARAMS if kind not in ("rational", "log", "words")}
DOUBLE_PARAMS |= {"tail": 41, "tails": 43}

# How a launch addresses memory.  One row (``kernels/fill.py``): aligned, at any address, strided,
# and strided with positions that need 64 bits.  Many rows (``kernels/rows.py``): aligned without
# and with a gap between rows, at any address, along four axes, strided, and strided with 64 bits.
_ONE = dict(ALIGNED=False, STRIDED=False, WIDE=False, CARRY=True)
_MANY = dict(_ONE, AXES=1, PACKED=False)
LAYOUTS: dict[str, dict[str, bool | int]] = {
    "contiguous": dict(_ONE, ALIGNED=True, CARRY=False),
    "unaligned": _ONE,
    "strided": dict(_ONE, STRIDED=True),
    "wide": dict(_ONE, STRIDED=True, WIDE=True),
    "rows": dict(_MANY, ALIGNED=True, PACKED=True, CARRY=False),
    "padded rows": dict(_MANY, ALIGNED=True, CARRY=False),
    "odd rows": _MANY,
    "axes": dict(_MANY, AXES=4),
    "strided rows": dict(_MANY, STRIDED=True),
    "wide rows": dict(_MANY, AXES=4, STRIDED=True, WIDE=True),
}
# Many tensors (``kernels/table.py``): whole 16-byte words, and runs at any address.
TABLES = {"table": True, "table of rows": True, "unaligned table": False}
TABLE_KINDS = ("uniform", "normal", "tails", "diagonal")  # on targets other than sm_90
# Layouts differ in integer arithmetic, whatever the kind; ``constant`` has nothing else.
LAYOUT_KINDS = ("normal", "mask", "constant")
EVERY_KIND = ("unaligned", "strided", "wide", "rows", "odd rows")  # on sm_90
OTHER_TARGETS = ("unaligned", "strided", "wide", "rows", "odd rows", "wide rows")
# Of float64 on sm_90; elsewhere only of normals, and only rows.
DOUBLE_LAYOUTS = {"normal": EVERY_KIND, "tails": ("unaligned", "wide rows")}

# Kernels that hold one operation of float64, to know what a target makes of it.
OPERATIONS = ("sqrt_rn", "div_rn")
# Kernels with what the checks must find: a fast square root, and a contracted product and sum.
BROKEN = ("approximate", "contracted")
SPARSE = "column_thresholds"
STORED = ("uniform", "normal")  # whose stores of rows are counted on all targets
DIGEST = "digest"
# Axes along which a digest decodes positions; with one, memory is contiguous.
DIGEST_AXES = {"contiguous": 1, "two": 2, "four": 4}


def dtypes_of(kind: str) -> tuple[str, ...]:
    """The element types a kind writes; raw words have one."""
    return ("u32",) if kind == "words" else DTYPES


def tables(full: bool) -> list[Variant]:
    """Tables of every kind; constants are written as words of their width."""
    kinds = (*SAMPLERS, "diagonal") if full else TABLE_KINDS
    chosen = [Variant(kind, "fp32", "table") for kind in kinds]
    chosen += [Variant(kind, "bf16", "table") for kind in STORED]
    chosen += [Variant(kind, "fp32", "table of rows") for kind in STORED]
    chosen += [Variant("normal", "bf16", "table of rows")]
    chosen += [Variant("normal", "fp16", "table")] if full else []
    chosen += [Variant("normal", dtype, "unaligned table") for dtype in DTYPES[: 2 if full else 1]]
    chosen += [Variant(kind, DOUBLE, "table") for kind in (STORED if full else ("normal",))]
    return chosen + [Variant("constant", f"u{width}", "table") for width in (8, 16, 32, 64)]


def variants(target: str) -> list[Variant]:
    """All kinds on all targets; all dtypes and layouts on sm_90, the fewest elsewhere."""
    full = target == "sm_90"
    chosen = []
    for kind in PARAMS:
        dtypes = dtypes_of(kind)
        halves = full or (target == "gfx942" and kind in STORED)
        chosen += [Variant(kind, dtype, "contiguous") for dtype in dtypes[: 3 if halves else 2]]
        layouts = EVERY_KIND if full else ()
        if kind in LAYOUT_KINDS:
            layouts = tuple(LAYOUTS)[1:] if full else OTHER_TARGETS
        chosen += [Variant(kind, dtypes[0], layout) for layout in layouts]
        if kind in STORED:
            chosen += [Variant(kind, dtype, "rows") for dtype in dtypes[: 2 if full else 1]]
    chosen += [Variant(kind, DOUBLE, "contiguous") for kind in DOUBLE_PARAMS]
    doubles = DOUBLE_LAYOUTS if full else {"normal": ("rows",)}
    chosen += [Variant(kind, DOUBLE, layout) for kind in doubles for layout in doubles[kind]]
    chosen += [Variant(name, "fp32", "contiguous") for name in BROKEN]
    chosen += [Variant(name, DOUBLE, "contiguous") for name in (*OPERATIONS, "contracted")]
    chosen += [Variant(DIGEST, f"u{width}", "contiguous") for width in (8, 16, 32, 64)]
    chosen += [Variant(DIGEST, "u32", layout) for layout in list(DIGEST_AXES)[1:]]
    chosen += tables(full)
    return [*dict.fromkeys(chosen), Variant(SPARSE, "u32", "contiguous")]


def layout_only(variant: Variant) -> Variant:
    """The kernel of the same layout that computes no sample."""
    if variant.layout in TABLES:
        return Variant("constant", "u32", "table")
    return Variant("constant", "fp32", variant.layout)


def label(value: object) -> str:
    """How a target or a variant is called in a test's name."""
    return "-".join(value) if isinstance(value, Variant) else str(value)
