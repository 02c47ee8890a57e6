"""AMD GCN assembly for gfx942: the equivalents of the checks on PTX.

An integer division is carried out in floating point on AMD (a reciprocal estimate, corrected
to the exact quotient), so counts are compared with a kernel of the same layout that has the
same address arithmetic and samples nothing.
"""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.gpu_compile.conftest import Listings
from tests.gpu_compile.expected import DOUBLE_LANES, LANES, operations
from tests.gpu_compile.variants import (
    BROKEN,
    DOUBLE,
    OPERATIONS,
    SAMPLERS,
    Variant,
    label,
    layout_only,
    variants,
)

TARGET = "gfx942"
FMA = re.compile(r"v_(pk_)?(fma|fmac|fmamk|fmaak|mad|mac)_(mix\w*_)?f(32|16)")
DOUBLE_FMA = re.compile(r"v_(pk_)?(fma|fmac|fmamk|fmaak|mad|mac)_f64")
FUNCTIONS = re.compile(r"v_(exp|log|sin|cos|tanh)\w*_f(16|32)|v_mad_f32|v_mac_f32|v_fma_mix")
SPILLS = (".amdhsa_private_segment_fixed_size", ".vgpr_spill_count:", "; ScratchSize:")
KEEP_SUBNORMALS = 3  # .amdhsa_float_denorm_mode_*: neither inputs nor outputs are flushed
NEAREST_EVEN = 0

# Instructions a sample of the whole listing: those of a full tile and of a partial one.
BUDGET = {
    ("uniform", "fp32"): 29,
    ("uniform", "bf16"): 36,
    ("uniform", "fp16"): 31,
    ("normal", "fp32"): 47.5,
    ("normal", "bf16"): 54.5,
    ("normal", "fp16"): 49.5,
    ("rational", "fp32"): 49.5,
    ("rational", "bf16"): 55.5,
    ("tails", "fp32"): 84.5,
    ("tails", "bf16"): 91,
}

ours = [variant for variant in variants(TARGET) if variant.kind not in OPERATIONS + BROKEN]
all_kernels = pytest.mark.parametrize("variant", ours, ids=label)
sampled = [variant for variant in ours if variant.kind in SAMPLERS]
singles = [variant for variant in sampled if variant.dtype != DOUBLE]
doubles = [variant for variant in sampled if variant.dtype == DOUBLE]
all_samplers = pytest.mark.parametrize("variant", singles, ids=label)
all_doubles = pytest.mark.parametrize("variant", doubles, ids=label)


def mnemonics(amdgcn: str) -> Counter[str]:
    """The instructions without the suffix of their encoding."""
    names = re.findall(r"^\s+((?:v|s|global|buffer|flat|scratch)_\w+)", amdgcn, re.MULTILINE)
    return Counter(re.sub(r"_(e32|e64|sdwa|dpp)$", "", name) for name in names)


def fmas(found: Counter[str]) -> int:
    """Fused multiply-adds of an element; a packed instruction is two."""
    return sum(
        number * (2 if name.startswith("v_pk_") else 1)
        for name, number in found.items()
        if FMA.fullmatch(name)
    )


def field(amdgcn: str, name: str) -> int:
    """A number the assembler is given about the kernel."""
    found = re.search(rf"{re.escape(name)}\s+(\d+)", amdgcn)
    assert found is not None, name
    return int(found.group(1))


@all_kernels
def test_no_approximate_function(listings: dict[str, Listings], variant: Variant) -> None:
    found = mnemonics(listings[TARGET][variant].amdgcn)
    assert [name for name in found if FUNCTIONS.match(name)] == []


@all_samplers
def test_every_operation_was_written(listings: dict[str, Listings], variant: Variant) -> None:
    """Contraction would add an fma; ``v_rsq_f32`` is allowed as in test_nvidia.py."""
    kernels = listings[TARGET]
    kernel = kernels[variant]
    found = mnemonics(kernel.amdgcn)
    base = mnemonics(kernels[layout_only(variant)].amdgcn)
    written = operations(variant.kind)
    assert fmas(found) - fmas(base) == written["fma"] * kernel.samples // LANES
    assert found["v_rsq_f32"] == written["rsqrt"] * kernel.samples // LANES
    assert found["v_sqrt_f32"] == found["v_div_fixup_f32"] == 0
    assert found["v_rcp_f32"] == base["v_rcp_f32"]


@all_doubles
def test_float64_has_no_fma_that_is_not_in_a_root_or_a_quotient(
    listings: dict[str, Listings], variant: Variant
) -> None:
    """Each root and quotient is the whole sequence of instructions that it is alone."""
    kernel = listings[TARGET][variant]
    found = mnemonics(kernel.amdgcn)
    written = operations(variant.kind, double=True)
    inside: Counter[str] = Counter()
    for name in OPERATIONS:
        alone = listings[TARGET][Variant(name, DOUBLE, "contiguous")]
        for instruction, number in mnemonics(alone.amdgcn).items():
            inside[instruction] += number // alone.samples * written[name]
    blocks = kernel.samples // DOUBLE_LANES
    for names in (DOUBLE_FMA, re.compile(r"v_(rsq|rcp|div_\w+)_f64")):
        total, expected = (
            sum(number for name, number in counted.items() if names.fullmatch(name))
            for counted in (found, inside)
        )
        assert total == expected * blocks


@pytest.mark.parametrize("variant", BUDGET, ids="-".join)
def test_instructions_a_sample(listings: dict[str, Listings], variant: tuple[str, str]) -> None:
    kernel = listings[TARGET][Variant(*variant, "contiguous")]
    assert mnemonics(kernel.amdgcn).total() / kernel.samples <= BUDGET[variant]


@all_kernels
def test_no_scratch_memory(listings: dict[str, Listings], variant: Variant) -> None:
    amdgcn = listings[TARGET][variant].amdgcn
    assert [field(amdgcn, name) for name in SPILLS] == [0] * len(SPILLS)
    assert not [name for name in mnemonics(amdgcn) if name.startswith("scratch_")]


@all_kernels
def test_ieee_arithmetic(listings: dict[str, Listings], variant: Variant) -> None:
    amdgcn = listings[TARGET][variant].amdgcn
    assert field(amdgcn, ".amdhsa_float_denorm_mode_32") == KEEP_SUBNORMALS
    assert field(amdgcn, ".amdhsa_float_denorm_mode_16_64") == KEEP_SUBNORMALS
    assert field(amdgcn, ".amdhsa_float_round_mode_32") == NEAREST_EVEN


def test_the_checks_find_what_they_look_for(listings: dict[str, Listings]) -> None:
    approximate = mnemonics(listings[TARGET][Variant("approximate", "fp32", "contiguous")].amdgcn)
    assert [name for name in approximate if FUNCTIONS.match(name)] != []
    contracted = listings[TARGET][Variant("contracted", "fp32", "contiguous")]
    assert fmas(mnemonics(contracted.amdgcn)) == contracted.samples
    double = listings[TARGET][Variant("contracted", DOUBLE, "contiguous")]
    found = mnemonics(double.amdgcn)
    assert sum(n for name, n in found.items() if DOUBLE_FMA.fullmatch(name)) == double.samples
