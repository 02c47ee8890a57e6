"""NVIDIA's device that is not there: ``tests/gpu_compile/driver.c`` is its driver."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from tests.gpu_compile import recorded
from tests.machine import memory
from tests.machine.device import Device
from tests.ptx.machine import Machine
from tests.ptx.program import parse


def arrange(arch: str, choice: str) -> Device:
    """Let Triton compile and launch for sm_``arch``; see ``Lanes.reciprocal_root`` of choice."""
    folder = Path(tempfile.mkdtemp())
    library, held = recorded.build(folder), memory.build(folder)

    def make(kernel: Any) -> Machine:
        return Machine(parse(kernel.asm["ptx"]), held, kernel.metadata.shared, choice)

    recorded.activate(int(arch))
    return Device(library, make)
