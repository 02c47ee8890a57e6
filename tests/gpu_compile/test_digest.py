"""The digest's kernel: integers only, 16 bytes a load, nothing spilled, its cost bounded."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

from tests.gpu_compile.conftest import Listings
from tests.gpu_compile.listing import count, full_tile
from tests.gpu_compile.test_launch import NoDevice
from tests.gpu_compile.test_nvidia import FLOATING, opcodes
from tests.gpu_compile.variants import DIGEST, NVIDIA, Variant, label, variants
from tritoninit.backends import triton_digest
from tritoninit.kernels.digest import digest
from tritoninit.region import Region

WIDE_LOAD = "LDG.E.128"
# Instructions an element on the path of a full tile, sm_90, its share of the reduction included.
# Philox alone needs 40.
BUDGET = {"contiguous": 76, "two": 110, "four": 162}

ours = [(t, v) for t in NVIDIA for v in variants(t) if v.kind == DIGEST]
all_kernels = pytest.mark.parametrize(("target", "variant"), ours, ids=label)


@all_kernels
def test_no_floating_point(listings: dict[str, Listings], target: str, variant: Variant) -> None:
    assert not [name for name in opcodes(listings[target][variant].ptx) if FLOATING.search(name)]


@all_kernels
def test_each_program_adds_two_words(
    listings: dict[str, Listings], target: str, variant: Variant
) -> None:
    found = opcodes(listings[target][variant].ptx)
    added = {name: n for name, n in found.items() if name.startswith(("atom", "red"))}
    assert sum(added.values()) == 2
    assert all(name.endswith(".add.u64") for name in added)
    assert not [name for name in found if name.startswith("st.global")]


@pytest.mark.parametrize("target", NVIDIA)
@pytest.mark.parametrize("width", [8, 16, 32, 64])
def test_full_tiles_are_loaded_16_bytes_at_once(
    listings: dict[str, Listings], target: str, width: int
) -> None:
    kernel = listings[target][Variant(DIGEST, f"u{width}", "contiguous")]
    path = full_tile(kernel.sass, WIDE_LOAD)
    assert count(path, WIDE_LOAD) == kernel.samples * width // 128
    assert count(path, "LDG") == count(path, WIDE_LOAD)


@pytest.mark.parametrize("layout", BUDGET)
def test_instructions_an_element(listings: dict[str, Listings], layout: str) -> None:
    kernel = listings["sm_90"][Variant(DIGEST, "u32", layout)]
    path = full_tile(kernel.sass, WIDE_LOAD if layout == "contiguous" else "LDG")
    assert len(path) / kernel.samples <= BUDGET[layout]


def test_amd_loads_16_bytes_at_once(listings: dict[str, Listings]) -> None:
    kernel = listings["gfx942"][Variant(DIGEST, "u32", "contiguous")]
    wide = re.findall(r"(?:global|buffer|flat)_load_dwordx4", kernel.amdgcn)
    assert len(wide) >= kernel.samples // 4


REGIONS = {
    "contiguous": (Region.whole((64, 64), (64, 1)), Region.whole((1,), (1,))),
    "columns": (Region((64, 64), (0, 8), (64, 16), (16, 1)), Region.whole((9, 5), (1, 9))),
}


@pytest.mark.parametrize("name", REGIONS)
def test_launches_compile_and_share_one_kernel(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a real launch passes; neither sizes nor keys nor entries may cost a compilation."""
    monkeypatch.setattr(driver, "_active", NoDevice(), raising=False)
    assert driver.active.get_current_target() == GPUTarget("cuda", 90, 32)
    table = torch.zeros(20, 2, dtype=torch.int64)
    data = torch.zeros(8192, dtype=torch.int32).view(torch.uint32)
    kernels: dict[str, Any] = {}
    for region in REGIONS[name]:
        first, axes = region.axes()
        for key, entry, shift in ((0, 0, 0), (1, 1, 1), (2**64 - 1, 16, 2), (2**63, 17, 4)):
            _, arguments = triton_digest.launch_arguments(
                data[shift:], first, axes, key, table, entry
            )
            kernel = digest.warmup(**arguments, grid=(1,))
            kernels[kernel.hash] = kernel
    assert len(kernels) == 1
    (kernel,) = kernels.values()
    assert "atom.global" in kernel.asm["ptx"]


def test_the_checks_find_what_they_look_for() -> None:
    scalar = SimpleNamespace(sass="        /*0010*/                   LDG.E R1, [R2.64] ;\n")
    with pytest.raises(ValueError, match="no path"):
        full_tile(scalar.sass, WIDE_LOAD)
