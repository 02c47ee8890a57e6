"""A device that is not there: Triton compiles and launches for it, and a machine runs the PTX.

Triton's own launcher runs, up to the driver, whose place ``tests/gpu_compile/driver.c`` takes.
Host memory stands for the device's.
"""

from __future__ import annotations

import ctypes
import tempfile
from pathlib import Path
from typing import Any

from triton.compiler import CompiledKernel

from tests.gpu_compile.recorded import activate, build
from tests.ptx import lanes
from tests.ptx.machine import Machine
from tests.ptx.program import parse

UNKNOWN_ERROR = 999  # CUDA_ERROR_UNKNOWN

Run = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_size_t, ctypes.c_uint, ctypes.POINTER(ctypes.c_void_p)
)


class Device:
    """The kernels that were loaded, and how their launches run.

    failure: what a launch raised, of which the launcher passes on no more than that there was
    something.
    """

    def __init__(self, arch: int = 90, rsqrt: str = "any") -> None:
        folder = Path(tempfile.mkdtemp())
        library = build(folder)
        self.failure: BaseException | None = None
        self._memory = lanes.build(folder)
        self._rsqrt = rsqrt
        self._machines: dict[int, Machine] = {}
        self._callback = Run(self._launched)  # lives as long as the driver may call it
        ctypes.c_void_p.in_dll(library, "run").value = ctypes.cast(
            self._callback, ctypes.c_void_p
        ).value
        activate(arch)
        self._watch()

    def _watch(self) -> None:
        """Make a machine of every kernel that Triton loads."""
        begin = CompiledKernel._init_handles

        def init_handles(kernel: Any) -> None:
            loaded = kernel.module is not None
            begin(kernel)
            if not loaded:
                program = parse(kernel.asm["ptx"])
                shared = kernel.metadata.shared
                machine = Machine(program, self._memory, shared, self._rsqrt)
                self._machines[kernel.function] = machine

        CompiledKernel._init_handles = init_handles

    def _launched(self, function: int, programs: int, values: Any) -> int:
        try:
            machine = self._machines[function]
            sizes = machine.program.parameters
            given = {
                name: ctypes.string_at(values[n], size)
                for n, (name, size) in enumerate(sizes.items())
            }
            machine.launch(programs, given)
        except BaseException as error:
            self.failure = error
            return UNKNOWN_ERROR
        return 0
