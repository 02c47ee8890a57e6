"""The arguments of real launches compile: bound by Triton's own launcher, without a GPU.

What a launch passes decides the signature (tuples, integers equal to 1, words above 2**63), so
kernels that compile from a hand-written signature may still fail at their first launch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

from tritoninit.backends import triton_, triton_table
from tritoninit.backends.table import Run, tables
from tritoninit.kernels.table import fill_table
from tritoninit.layout import DTYPES
from tritoninit.recipe import Constant, Dirac, Eye, Normal, Recipe, TruncNormal, Uniform
from tritoninit.region import Axis, Region, Spans
from tritoninit.sampler import DType, Sampler, lower
from tritoninit.stream import Key

ZERO = Key(0)


class NoDevice:
    """A driver that compiles for sm_90 and has nothing to launch on."""

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0


@pytest.fixture
def no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "_active", NoDevice(), raising=False)


RECIPES: dict[str, tuple[Recipe, tuple[int, ...]]] = {
    "uniform": (Uniform(0.0, 1.0), (64, 64)),
    "normal": (Normal(0.0, 1.0), (64, 64)),
    "truncated": (TruncNormal(0.0, 1.0, 3.0, 5.0), (64, 64)),
    "constant": (Constant(1.0), (64, 64)),
    "eye": (Eye(), (64, 64)),
    "dirac": (Dirac(2), (8, 4, 1)),
}


def compiled(out: torch.Tensor, region: Region, key: Key, sampler: Sampler) -> Any:
    limits = (out.view(torch.int32).view(torch.uint32),) * 2 if sampler.kind == "mask" else None
    kernel, _, arguments = triton_.launch_arguments(out, region.spans(), key, sampler, limits)
    return kernel.warmup(**arguments, grid=(1,))


@pytest.mark.parametrize("label", RECIPES)
@pytest.mark.parametrize("key", [Key(0), Key(2**64 - 1, 2**63)], ids=["small", "large"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.usefixtures("no_device")
def test_launches_of_every_kind_compile(label: str, key: Key, dtype: torch.dtype) -> None:
    recipe, shape = RECIPES[label]
    out = torch.empty(shape, dtype=dtype)
    region = Region.whole(shape, tuple(out.stride()))
    kernel = compiled(out.view(-1), region, key, lower(recipe, shape, DTYPES[dtype]))
    assert "st.global" in kernel.asm["ptx"]


@pytest.mark.usefixtures("no_device")
def test_masks_compile() -> None:
    out = torch.empty(64, 64)
    region = Region.whole((64, 64), (64, 1))
    kernel = compiled(out.view(-1), region, Key(0), Sampler("mask", integers=(1, 64, 64, 0)))
    assert "st.global" in kernel.asm["ptx"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.usefixtures("no_device")
def test_launches_that_differ_in_numbers_share_one_kernel(dtype: torch.dtype) -> None:
    """Neither sizes nor keys nor constants may cost a compilation."""
    kernels = set()
    for rows, std, key in (
        (64, 0.0, Key(0)),
        (63, 1 / 3, Key(1, 1)),
        (1, 5e-324, Key(2**64 - 1, 16)),
        (4096, 2.0, Key(5, 2**40)),
    ):
        out = torch.empty(rows, 64, dtype=dtype)
        region = Region.whole((rows, 64), (64, 1))
        sampler = lower(Normal(-float(rows), std), (rows, 64), DTYPES[dtype])
        kernels.add(compiled(out.view(-1), region, key, sampler).hash)
    assert len(kernels) == 1


@pytest.mark.usefixtures("no_device")
def test_shards_of_any_width_share_one_kernel() -> None:
    """Rows of 16-byte words next to each other, whatever their length and number."""
    kernels = set()
    for rows, columns, world in ((64, 256, 8), (4096, 4096, 512), (7, 32, 2), (1 << 16, 80, 5)):
        width = columns // world
        out = torch.empty(rows * width)
        region = Region((rows, columns), (0, width), (rows, width), (width, 1))
        sampler = lower(Normal(0.0, 1.0), (rows, columns), DType.FLOAT32)
        kernels.add(compiled(out, region, Key(rows), sampler).hash)
    assert len(kernels) == 1


def table_kernels(dtype: DType, kind: str, runs: list[int], samplers: list[Sampler]) -> list[str]:
    """The kernels of the launches that fill these runs."""
    hashes = []
    constants = triton_table.numbers_of(samplers, dtype)
    none = np.empty((len(samplers), 0), np.int64)
    for made in tables(runs, kind, constants, none, dtype.itemsize, 4096):
        arguments = triton_table.launch_arguments(
            triton_table.upload(made.arrays, torch.device("cpu")), dtype, kind, made
        )
        hashes.append(fill_table.warmup(**arguments, grid=(1,)).hash)
    return hashes


@pytest.mark.usefixtures("no_device")
def test_tables_that_differ_in_numbers_share_one_kernel() -> None:
    """And one more for what is misaligned, whatever the number of tensors, sizes and keys."""
    hashes = set()
    for count in (1, 2, 17, 4096):
        samplers = [lower(Normal(float(n), 1.0), (), DType.FLOAT32) for n in range(1 + count % 3)]
        runs = [
            number
            for n in range(count)
            for shift in (0, 4)
            for number in Run(4096 + shift, 0, 9 * n + 1, n, 2**64 - 1 - n, n % len(samplers))
        ]
        found = table_kernels(DType.FLOAT32, "normal", runs, samplers)
        assert len(found) == 2
        hashes.update(found)
    assert len(hashes) == 2


@pytest.mark.usefixtures("no_device")
@pytest.mark.parametrize("label", RECIPES)
def test_tables_of_every_kind_compile(label: str) -> None:
    recipe, shape = RECIPES[label]
    sampler = lower(recipe, shape, DType.BFLOAT16)
    dtype = 8 if sampler.kind == "constant" else DType.BFLOAT16
    itemsize = dtype if isinstance(dtype, int) else dtype.itemsize
    constants = triton_table.numbers_of([sampler], dtype)
    integers = np.array([sampler.integers], dtype=np.int64)
    run = Run(4096, 0, 100, 1, 2**63, 0)
    (made,) = tables([*run], sampler.kind, constants, integers, itemsize, 2048)
    sent = triton_table.upload(made.arrays, torch.device("cpu"))
    arguments = triton_table.launch_arguments(sent, dtype, sampler.kind, made)
    assert "st.global" in fill_table.warmup(**arguments, grid=(1,)).asm["ptx"]


def flags(spans: Spans, key: Key = ZERO, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    """What a launch over rows promises the kernel."""
    out = torch.empty(8, dtype=dtype)
    sampler = Sampler("normal", (0.0, 1.0))
    return triton_.launch_arguments(out, spans, key, sampler, None)[2]


def matrix(length: int, stride: int, local: int, first: int = 0) -> Spans:
    return Spans(first, (Axis(100, stride, local),), (Axis(length, 1, 1),), length)


def test_rows_of_whole_words_are_aligned() -> None:
    assert flags(matrix(64, 1024, 64))["PACKED"]
    assert flags(matrix(64, 1024, 72))["ALIGNED"]
    assert not flags(matrix(64, 1024, 72))["PACKED"]
    for spans in (
        matrix(62, 1024, 64),
        matrix(64, 1022, 64),
        matrix(64, 1024, 66),
        matrix(64, 1024, 64, first=2),
    ):
        assert not flags(spans)["ALIGNED"]
    assert not flags(matrix(60, 1024, 60), dtype=torch.bfloat16)["ALIGNED"]
    assert flags(matrix(62, 1022, 66, first=2), dtype=torch.float64)["ALIGNED"]
    assert not flags(matrix(61, 1024, 66), dtype=torch.float64)["ALIGNED"]


@pytest.mark.parametrize(("dtype", "each"), [(torch.float32, 4), (torch.float64, 2)], ids=str)
def test_a_row_costs_at_most_one_block_more_than_its_elements_fill(
    dtype: torch.dtype, each: int
) -> None:
    for length in range(1, 40):
        for stride in (1024, 1025, 1026):
            for first in range(8):
                spans = matrix(length, stride, length, first)
                starts = [first + row * stride for row in range(100)]
                needed = max((at + length - 1) // each - at // each + 1 for at in starts)
                slots = flags(spans, dtype=dtype)["row_slots"]
                assert slots == needed <= -(-length // each) + 1


def test_wide_and_carrying_launches_say_so() -> None:
    assert not flags(matrix(64, 2**40, 64))["WIDE"]
    wide = flags(matrix(64, 1024, 2**31))
    assert wide["WIDE"]
    assert wide["CARRY"]
    assert flags(matrix(64, 2**30, 64), Key(0, 5))["CARRY"]  # blocks 0 to 99 * 2**28
    assert not flags(matrix(64, 1024, 64), Key(0, 5))["CARRY"]
    assert flags(matrix(64, 1024, 64), Key(0, 2**32 - 5))["CARRY"]
