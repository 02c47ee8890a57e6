"""A device that is not there: Triton compiles and launches for it, and a machine runs the code.

Triton's own launcher runs, up to the driver, whose place a library takes that hands each launch
on.  Host memory stands for the device's.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Protocol

import torch
from triton.compiler import CompiledKernel
from triton.runtime import driver

UNKNOWN_ERROR = 999  # of CUDA and of HIP
DEVICE = -1  # ``Tensor.get_device()`` of the host memory that stands for a GPU's

Run = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_size_t,
    ctypes.c_uint,
    ctypes.c_uint,
    ctypes.c_uint,
    ctypes.POINTER(ctypes.c_void_p),
)


def activate(kind: type, **facts: Any) -> None:
    """Make a driver of Triton's the active one, for a device that is not there.

    facts: what its methods of these names answer.
    """
    torch._C._cuda_getCurrentRawStream = lambda device: 0  # which the driver looks for
    made = kind()
    answers = {"get_current_device": DEVICE, "get_current_stream": 7, **facts}
    for name, answer in answers.items():
        setattr(made, name, lambda *_, answer=answer: answer)
    driver._active = made


class Machine(Protocol):
    """Runs the launches of one kernel."""

    @property
    def threads(self) -> int:
        """Of a program."""

    @property
    def sizes(self) -> list[int]:
        """Bytes of each argument."""

    def launch(self, programs: int, values: list[bytes]) -> None:
        """Run a grid of programs."""


class Device:
    """The kernels that were loaded, and how their launches run.

    library: the driver; make: a kernel's machine.  failure: what a launch raised, of which the
    launcher passes on no more than that there was something.
    """

    def __init__(self, library: ctypes.CDLL, make: Callable[[Any], Machine]) -> None:
        self.failure: BaseException | None = None
        self._make = make
        self._machines: dict[int, tuple[Machine, int]] = {}
        self._callback = Run(self._launched)  # lives as long as the driver may call it
        ctypes.c_void_p.in_dll(library, "run").value = ctypes.cast(
            self._callback, ctypes.c_void_p
        ).value
        self._watch()

    def _watch(self) -> None:
        """Make a machine of every kernel that Triton loads."""
        begin = CompiledKernel._init_handles

        def init_handles(kernel: Any) -> None:
            loaded = kernel.module is not None
            begin(kernel)
            if not loaded:
                self._machines[kernel.function] = self._make(kernel), kernel.metadata.shared

        CompiledKernel._init_handles = init_handles

    def _launched(
        self, function: int, programs: int, threads: int, shared: int, values: Any
    ) -> int:
        try:
            machine, needed = self._machines[function]
            if (threads, shared) != (machine.threads, needed):
                raise ValueError(f"launched with {threads} threads and {shared} bytes")
            sizes = enumerate(machine.sizes)
            machine.launch(programs, [ctypes.string_at(values[n], size) for n, size in sizes])
        except BaseException as error:
            self.failure = error
            return UNKNOWN_ERROR
        return 0
