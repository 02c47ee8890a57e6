"""What the machines do in C (``memory.c``): memory at any address, and fused multiply-adds."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Memory:
    """Memory at any address, and fma, by ``memory.c``."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def gather(self, at: Array, on: Array, width: int) -> npt.NDArray[np.uint64]:
        out = np.zeros(at.size, np.uint64)
        self._call("gather", at.size, at, on, width, out)
        return out

    def scatter(self, at: Array, on: Array, width: int, bits: Array) -> None:
        self._call("scatter", at.size, at, on, width, bits)

    def add(self, at: Array, on: Array, bits: Array) -> npt.NDArray[np.uint64]:
        out = np.zeros(at.size, np.uint64)
        self._call("add", at.size, at, on, bits, out)
        return out

    def fused(self, a: Array, b: Array, c: Array, count: int) -> npt.NDArray[np.float32]:
        out = np.empty(count, np.float32)
        self._call("fused", count, *(np.broadcast_to(x, count) for x in (a, b, c)), out)
        return out

    def fused_double(self, a: Array, b: Array, c: Array, count: int) -> npt.NDArray[np.float64]:
        out = np.empty(count, np.float64)
        self._call("fused_double", count, *(np.broadcast_to(x, count) for x in (a, b, c)), out)
        return out

    def _call(self, name: str, count: int, *arguments: Any) -> None:
        held = [np.ascontiguousarray(x) if isinstance(x, np.ndarray) else x for x in arguments]
        given = [
            ctypes.c_void_p(x.ctypes.data) if isinstance(x, np.ndarray) else ctypes.c_int(x)
            for x in held
        ]
        getattr(self._library, name)(ctypes.c_size_t(count), *given)


def build(folder: Path) -> Memory:
    """``memory.c``, compiled into the folder."""
    source, library = Path(__file__).with_name("memory.c"), folder / "memory.so"
    command = [os.environ.get("CC", "gcc"), "-shared", "-fPIC", "-O2", str(source), "-lm"]
    subprocess.run([*command, "-o", str(library)], check=True)
    return Memory(ctypes.CDLL(str(library)))
