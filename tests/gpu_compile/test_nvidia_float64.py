"""PTX and SASS of float64: no fma outside of roots and quotients, 16-byte stores, the budget."""

from __future__ import annotations

import pytest

from tests.gpu_compile.conftest import Listings
from tests.gpu_compile.expected import DOUBLE_LANES, operations
from tests.gpu_compile.listing import WIDE_STORE, count, full_tile, mix, opcodes
from tests.gpu_compile.variants import (
    DOUBLE,
    DOUBLE_PARAMS,
    NVIDIA,
    SAMPLERS,
    Variant,
    label,
    variants,
)

# Of float64 on sm_90, whose divisions and roots are many instructions.
DOUBLE_BUDGET = {"uniform": 29, "normal": 102, "tail": 245, "tails": 262}

doubles = [(t, v) for t in NVIDIA for v in variants(t) if v.kind in SAMPLERS and v.dtype == DOUBLE]
all_doubles = pytest.mark.parametrize(("target", "variant"), doubles, ids=label)


@all_doubles
def test_float64_has_no_fma_that_is_not_in_a_root_or_a_quotient(
    listings: dict[str, Listings], target: str, variant: Variant
) -> None:
    kernel = listings[target][variant]
    blocks = kernel.samples // DOUBLE_LANES
    written = operations(variant.kind, double=True)
    found = opcodes(kernel.ptx)
    assert not [name for name in found if name.startswith(("fma", "mad.rn"))]
    path = full_tile(kernel.sass, WIDE_STORE if WIDE_STORE in kernel.sass else "STG")
    inside = 0
    for name, instruction in (("sqrt_rn", "sqrt"), ("div_rn", "div")):
        assert found[f"{instruction}.rn.f64"] == written[name] * blocks > 0 or not written[name]
        alone = listings[target][Variant(name, DOUBLE, "contiguous")]
        inside += mix(full_tile(alone.sass, "STG"))["DFMA"] // alone.samples * written[name]
    assert mix(path)["DFMA"] == inside * blocks


@pytest.mark.parametrize("target", NVIDIA)
@pytest.mark.parametrize("kind", [kind for kind in DOUBLE_PARAMS if kind != "mask"])
def test_full_tiles_of_float64_are_stored_16_bytes_at_once(
    listings: dict[str, Listings], target: str, kind: str
) -> None:
    for layout in ("contiguous", "rows", "padded rows"):
        kernel = listings[target].get(Variant(kind, DOUBLE, layout))
        if kernel is not None:
            path = full_tile(kernel.sass)
            assert count(path, WIDE_STORE) == count(path, "STG") == kernel.samples // 2


@pytest.mark.parametrize("kind", DOUBLE_BUDGET)
def test_instructions_a_sample_of_float64(listings: dict[str, Listings], kind: str) -> None:
    kernel = listings["sm_90"][Variant(kind, DOUBLE, "contiguous")]
    assert len(full_tile(kernel.sass)) / kernel.samples <= DOUBLE_BUDGET[kind]
