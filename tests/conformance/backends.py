"""The backends under one signature: fill a region of a guarded buffer, return it all."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable

import numpy as np
import torch

from tritoninit.backends import host
from tritoninit.backends.numpy_ import NumpyBackend
from tritoninit.recipe import Recipe
from tritoninit.region import Region
from tritoninit.sampler import DType
from tritoninit.stream import Key

GUARD = 24  # elements on either side that must stay as they were
TORCH = {
    DType.FLOAT32: (torch.float32, torch.int32),
    DType.BFLOAT16: (torch.bfloat16, torch.int16),
    DType.FLOAT16: (torch.float16, torch.int16),
    DType.FLOAT64: (torch.float64, torch.int64),
}
AS_CODE = "PTX" in os.environ or "AMD" in os.environ  # see conftest.py
PATTERN = 0x5A  # every byte of an untouched buffer

Fill = Callable[[torch.Tensor, Region, tuple[int, ...], Recipe, Key, DType], None]


def _host(backend: host.HostBackend) -> Fill:
    def fill(
        out: torch.Tensor,
        region: Region,
        shape: tuple[int, ...],
        recipe: Recipe,
        key: Key,
        dtype: DType,
    ) -> None:
        flat = out.view(torch.uint16) if out.element_size() == 2 else out
        host.fill(backend, flat.numpy(), region, shape, recipe, key, dtype, 2)

    return fill


def _triton() -> Fill:
    from tritoninit.backends import triton_

    if not torch.cuda.is_available() and not AS_CODE:
        from tests.conformance import interpreter

        interpreter.install()
    return triton_.fill


MISSING: dict[str, str] = {}
FILLS: dict[str, Fill] = {"numpy": _host(NumpyBackend())}
if importlib.util.find_spec("numba") is not None:
    from tritoninit.backends.numba_ import NumbaBackend

    FILLS["numba"] = _host(NumbaBackend())
else:
    MISSING["numba"] = "not installed"
if importlib.util.find_spec("triton") is not None:
    FILLS["triton"] = _triton()
else:
    MISSING["triton"] = "not installed"
# What is tested; as machine code only the kernels, the others have their own run.
AVAILABLE = ["triton"] if AS_CODE else list(FILLS)


def run(
    name: str,
    recipe: Recipe,
    region: Region,
    shape: tuple[int, ...],
    key: Key,
    dtype: DType,
    shift: int = 0,
) -> np.ndarray:
    """The bits of the whole buffer, guards included, after one fill.

    ``shift`` moves the region's first element by so many elements against a 16-byte boundary.
    """
    kind, bits = TORCH[dtype]
    device = "cuda" if name == "triton" and torch.cuda.is_available() else "cpu"
    size = region.extent + 2 * GUARD
    storage = torch.full((size * kind.itemsize + 16,), PATTERN, dtype=torch.uint8, device=device)
    buffer = storage[: size * kind.itemsize].view(kind)
    begin = GUARD - 8 + shift
    FILLS[name](buffer[begin : begin + region.extent], region, shape, recipe, key, dtype)
    return buffer.view(bits).cpu().numpy()


def untouched(dtype: DType) -> int:
    """The bits of an element that nobody wrote."""
    return int.from_bytes(bytes([PATTERN]) * dtype.itemsize, "little")
