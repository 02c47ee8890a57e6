"""Every variant: 16-byte stores wherever tiles are whole, and no dearer than it was recorded."""

from __future__ import annotations

import json

import pytest
import triton

from tests.gpu_compile.conftest import Listings
from tests.gpu_compile.counts import LEFT_OUT, RECORDED, costs
from tests.gpu_compile.listing import WIDE_STORE, count, full_tile
from tests.gpu_compile.variants import DIGEST, NVIDIA, SPARSE

WHOLE = ("contiguous", "rows", "padded rows", "table")
BYTES = {"u8": 1, "u16": 2, "bf16": 2, "fp16": 2, "u32": 4, "fp32": 4, "u64": 8, "fp64": 8}
MORE = {"path": 1.01, "all": 1.05, "registers": 1.1}  # what may pass without being recorded


@pytest.mark.parametrize("target", NVIDIA)
def test_whole_tiles_of_every_variant_are_stored_16_bytes_at_once(
    listings: dict[str, Listings], target: str
) -> None:
    seen = set()
    for variant, kernel in listings[target].items():
        if variant.layout not in WHOLE or variant.kind in ("mask", DIGEST, SPARSE, *LEFT_OUT):
            continue
        path = full_tile(kernel.sass)
        words = kernel.samples * BYTES[variant.dtype] // 16
        assert count(path, WIDE_STORE) == count(path, "STG") == words, variant
        seen.add(variant.layout)
    assert seen >= {"contiguous", "rows", "table"}


def test_no_variant_costs_more_than_recorded(listings: dict[str, Listings]) -> None:
    recorded = json.loads(RECORDED.read_text())
    if recorded["triton"] != triton.__version__:
        pytest.skip(f"recorded with Triton {recorded['triton']}, here is {triton.__version__}")
    found = costs(listings)
    again = "record them: python -m tests.gpu_compile.counts"
    assert found.keys() == recorded["costs"].keys(), f"other variants than recorded; {again}"
    dearer = {
        f"{name}, {what}": (recorded["costs"][name][what], value)
        for name, cost in found.items()
        for what, value in cost.items()
        if value > recorded["costs"][name][what] * MORE[what]
    }
    assert dearer == {}, f"dearer than recorded; if that is meant, {again}"
