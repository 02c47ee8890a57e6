"""What the cached launcher looks at decides the kernel: no more and no less than Triton does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import triton
import triton.language as tl
from triton.runtime.jit import compute_cache_key

from tests.gpu_compile.recorded import captured, memory, parts, whole
from tests.gpu_compile.test_launch import no_device
from tritoninit.backends import triton_, triton_launch
from tritoninit.recipe import Normal
from tritoninit.region import Region
from tritoninit.sampler import DType
from tritoninit.stream import Key

__all__ = ["no_device"]

Launch = tuple[Any, int, dict[str, Any]]


def tritons_key(kernel: Any, arguments: dict[str, Any]) -> str:
    """By which Triton finds the compiled kernel of a launch."""
    _, keys, _, _, binder = kernel.device_caches[0]
    _, specialization, options = binder(**arguments)
    return f"{id(kernel)} {compute_cache_key(keys, specialization, options)}"


@pytest.fixture
def launches(no_device: None, monkeypatch: pytest.MonkeyPatch) -> list[Launch]:
    """Launches of every kind; sizes and keys that are 1, divisible by 16, 32 and 64 bits wide."""
    from tritoninit.backends import triton_digest

    for module in (triton_, triton_digest):
        monkeypatch.setattr(module, "launch", triton_launch.launch)  # put back after captured()
    found = [launch for _, general, *_ in (*whole(), *parts()) for launch in captured(general)]
    for numel in (1, 2, 16, 4095):
        for key in (Key(0), Key(1, 1), Key(16, 16), Key(2**63, 2**64 - 2**20), Key(2**31, 2**31)):
            region = Region((2**40,), (2**35,), (numel,), (1,))
            out = memory(torch.float16, numel, 0)
            found += captured(
                lambda out=out, region=region, key=key: triton_.fill(
                    out, region, region.global_shape, Normal(0.0, 1.0), key, DType.FLOAT16
                )
            )
    return found


def test_equal_variants_are_equal_to_triton(launches: list[Launch]) -> None:
    """A cached kernel can never be launched with arguments of another signature."""
    seen: dict[Any, str] = {}
    for kernel, _, arguments in launches:
        ours = triton_launch.variant(kernel, arguments)
        assert ours is not None
        theirs = tritons_key(kernel, arguments)
        assert seen.setdefault(ours, theirs) == theirs
    assert len(seen) == len(set(seen.values()))  # and none is compiled or kept twice
    assert len(seen) > 20
    assert len(launches) > 2 * len(seen)


@triton.jit(do_not_specialize=["known"])
def stores(out, known: tl.int64, size: tl.int64, SIZE: tl.constexpr):
    """``size`` may be 1 or divisible by 16, for which Triton compiles kernels of their own."""
    tl.store(out + tl.arange(0, SIZE), known + size)


@triton.jit(do_not_specialize=["size"])
def unnamed(out, size, SIZE: tl.constexpr):
    """``size`` has no annotation: its type is that of its value."""
    tl.store(out + tl.arange(0, SIZE), size)


@pytest.mark.usefixtures("no_device")
def test_values_that_select_a_kernel_are_left_to_triton() -> None:
    out = torch.empty(16, dtype=torch.int64)
    assert triton_launch.variant(stores, dict(out=out, known=1, size=1, SIZE=16)) is None
    assert triton_launch.variant(unnamed, dict(out=out, size=1, SIZE=16)) is None
    one, large = (tritons_key(unnamed, dict(out=out, size=n, SIZE=16)) for n in (1, 2**40))
    assert one != large


def test_unknown_options_and_types_are_left_to_triton(launches: list[Launch]) -> None:
    kernel, _, arguments = launches[0]
    assert triton_launch.variant(kernel, arguments) is not None
    for changed in (
        {"num_stages": 2},
        {"constants": (1, 0.5)},
        {"constants": [0.0, 1.0]},
        {"constants": (2**32, 2**33 + 1)},
        {"constants": (1, 2**33 + 1)},
        {"out": torch.nn.Parameter(arguments["out"])},
    ):
        assert triton_launch.variant(kernel, {**arguments, **changed}) is None
    for changed in ({"num_warps": 8}, {"maxnreg": 64}, {"enable_fp_fusion": True}):
        other = triton_launch.variant(kernel, {**arguments, **changed})
        assert other not in (None, triton_launch.variant(kernel, arguments))


@pytest.mark.usefixtures("no_device")
def test_a_profiler_is_told_of_launches(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = triton_.fill_row
    assert not triton_launch.hooked(kernel)
    hook = triton.knobs.runtime.launch_enter_hook
    monkeypatch.setattr(hook, "calls", [print])
    assert triton_launch.hooked(kernel)
    monkeypatch.undo()
    monkeypatch.setattr(kernel, "pre_run_hooks", [print])
    assert triton_launch.hooked(kernel)
