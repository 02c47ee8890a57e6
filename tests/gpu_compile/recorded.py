"""Launches as the driver receives them: Triton's own beside the cached ones.

    python -m tests.gpu_compile.recorded launches.json

writes both for every case, with a driver that keeps the arguments and runs nothing
(``driver.c``).  It runs in a process of its own, which takes that driver for NVIDIA's.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget

from tests.machine import device

NVIDIA = Path(triton.__file__).parent / "backends" / "nvidia"
WIDTHS = {"fp32": 4, "i32": 4, "u32": 4}  # bytes; of pointers and 64-bit integers 8
LAUNCHES, PARAMETERS = 64, 128  # as in driver.c


class Launch(ctypes.Structure):
    """``struct launch`` of driver.c."""

    _fields_ = (
        ("function", ctypes.c_size_t),
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("parameters", ctypes.c_ubyte * 8 * PARAMETERS),
    )


def build(folder: Path) -> ctypes.CDLL:
    """Compile and load the driver, under the name by which Triton's launcher links it."""
    library = folder / "libcuda.so.1"
    command = [os.environ.get("CC", "gcc"), "-shared", "-fPIC", "-O1", f"-I{NVIDIA / 'include'}"]
    command += [f"-Wl,-soname,{library.name}", str(Path(__file__).with_name("driver.c"))]
    subprocess.run([*command, "-o", str(library)], check=True)
    os.environ["TRITON_LIBCUDA_PATH"] = str(folder)
    return ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)


class Recorder:
    """The driver's record of launches."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.count = ctypes.c_int.in_dll(library, "count")
        self.parameters = ctypes.c_int.in_dll(library, "parameters")
        self.sizes = (ctypes.c_int * PARAMETERS).in_dll(library, "sizes")
        self.launches = (Launch * LAUNCHES).in_dll(library, "launches")

    def expect(self, signature: dict[str, Any]) -> None:
        """Say how large the parameters of the next launches are."""
        sizes = [WIDTHS.get(kind, 8) for kind in _flat(signature.values()) if kind != "constexpr"]
        self.parameters.value = len(sizes)
        self.sizes[: len(sizes)] = sizes

    def taken(self) -> list[dict[str, Any]]:
        """The launches since the last call."""
        taken = []
        for launch in self.launches[: self.count.value]:
            values = launch.parameters[: self.parameters.value]
            taken.append(
                {
                    "function": launch.function,
                    "grid": list(launch.grid),
                    "block": list(launch.block),
                    "parameters": [bytes(value).hex() for value in values],
                }
            )
        self.count.value = 0
        return taken


def _flat(kinds: Any) -> Iterator[str]:
    for kind in kinds:
        if isinstance(kind, tuple):
            yield from _flat(kind)
        else:
            yield kind


def activate(arch: int = 90) -> None:
    """Triton's CUDA driver for a device that is not there."""
    from triton.backends.nvidia.driver import CudaDriver

    device.activate(CudaDriver, get_current_target=GPUTarget("cuda", arch, 32))


def memory(dtype: torch.dtype, numel: int, shift: int) -> torch.Tensor:
    """A tensor that begins ``shift`` elements past a 16-byte boundary."""
    size = dtype.itemsize
    storage = torch.empty(numel * size + 64, dtype=torch.uint8)
    begin = -storage.data_ptr() % 16 + shift * size
    return storage[begin : begin + numel * size].view(dtype)


def captured(work: Callable[[], Any]) -> list[tuple[Any, int, dict[str, Any]]]:
    """The launches (kernel, programs, arguments) that ``work`` would make."""
    from tritoninit.backends import triton_, triton_digest

    found: list[tuple[Any, int, dict[str, Any]]] = []
    for module in (triton_, triton_digest):
        module.launch = lambda *launch: found.append(launch)
    work()
    return found


def whole() -> Iterator[tuple[str, Callable[[], Any], Callable[[], bool]]]:
    """(label, the general way, the short way) for whole tensors."""
    from tritoninit.backends import triton_, triton_whole
    from tritoninit.layout import DTYPES
    from tritoninit.recipe import Dirac, Eye, Normal, Recipe, TruncNormal, Uniform
    from tritoninit.region import Region
    from tritoninit.stream import Key

    recipes: list[tuple[Recipe, tuple[int, ...]]] = [
        (Normal(1.0, 0.0), (1,)),
        (Normal(0.0, 0.02), (4096,)),
        (Normal(0.0, 0.02), (4097,)),
        (Uniform(-1.0, 1.0), (64, 80)),
        (TruncNormal(0.0, 1.0, -2.0, 2.0), (5, 3)),
        (TruncNormal(0.0, 1.0, 3.0, 5.0), (2, 2)),
        (Eye(), (48, 16)),
        (Dirac(2), (8, 4, 3)),
    ]
    keys = (Key(0), Key(2**64 - 1, 2**63), Key(3, 2**32 - 2))
    places = ((torch.float32, 0), (torch.bfloat16, 0), (torch.float32, 1), (torch.float64, 0))
    for (recipe, shape), key, (dtype, shift) in itertools.product(recipes, keys, places):
        region = Region.whole(shape, tuple(torch.empty(shape, device="meta").stride()))
        out = memory(dtype, region.numel, shift)
        launches = triton_whole.Launches(recipe, DTYPES[dtype], isinstance(recipe, (Eye, Dirac)))
        yield (
            f"{recipe} {shape} {dtype} +{shift} {key}",
            partial(triton_.fill, out, region, shape, recipe, key, DTYPES[dtype]),
            partial(launches.fill, out.view(shape), region.numel, key.seed, key.offset),
        )


def parts() -> Iterator[tuple[str, Callable[[], Any]]]:
    """(label, the general way) for parts, masks and digests."""
    from tritoninit.backends import triton_, triton_digest
    from tritoninit.recipe import Normal, Sparse
    from tritoninit.region import Region
    from tritoninit.sampler import DType
    from tritoninit.stream import Key

    key = Key(5, 2**40)
    for name, region in {
        "rows": Region((64, 256), (0, 32), (64, 32), (32, 1)),
        "odd rows": Region((64, 255), (1, 32), (63, 31), (40, 1)),
        "strided": Region.whole((64, 64), (1, 64)),
        "axes": Region((8, 8, 8, 64), (1, 1, 1, 16), (3, 3, 3, 16), (1000, 100, 20, 1)),
    }.items():
        out = memory(torch.float32, region.extent, 0)
        shape = region.global_shape
        for recipe in (Normal(0.0, 1.0), *([Sparse(0.5, 0.01)] if name == "rows" else [])):
            work = partial(triton_.fill, out, region, shape, recipe, key, DType.FLOAT32)
            yield f"{recipe}, {name}", work
        table = torch.zeros(4, 2, dtype=torch.int64)
        bits = out.view(torch.int32).view(torch.uint32)
        work = partial(triton_digest.digest, bits, region, 2**64 - 1, table, 2)
        yield f"digest, {name}", work


def main(path: str) -> None:
    """Record every case as Triton launches it, and twice as what is tested does."""
    recorder = Recorder(build(Path(tempfile.mkdtemp())))
    activate()
    from tritoninit.backends.triton_launch import _compiled, launch

    records = []
    for label, general, *short in (*whole(), *parts()):
        for kernel, programs, arguments in captured(general):
            recorder.expect(kernel.warmup(**arguments, grid=(1,)).src.signature)
            kernel[(programs,)](**arguments)
            record = {"label": label, "triton": recorder.taken(), "taken": True}
            for _ in range(2):
                if short:
                    record["taken"] = short[0]() and record["taken"]
                else:
                    launch(kernel, programs, arguments)
            records.append({**record, "ours": recorder.taken()})
    ways = sorted({start.__name__ for start in _compiled.values()})
    Path(path).write_text(json.dumps({"records": records, "ways": ways}))


if __name__ == "__main__":
    main(*sys.argv[1:])
