"""AMD's device that is not there: ``driver.c`` is its driver, and torch one made for ROCm."""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch
import triton

from tests.amd.machine import Machine
from tests.amd.program import parse
from tests.machine import device, memory
from tests.machine.device import Device

AMD = Path(triton.__file__).parent / "backends" / "amd"


def build(folder: Path, arch: str) -> ctypes.CDLL:
    """Compile and load the driver, and name it to Triton."""
    library = folder / "libamdhip64.so"
    command = [os.environ.get("CC", "gcc"), "-shared", "-fPIC", "-O1", f"-I{AMD / 'include'}"]
    command += [f'-DARCH="{arch}"', str(Path(__file__).with_name("driver.c"))]
    subprocess.run([*command, "-o", str(library)], check=True)
    os.environ["TRITON_LIBHIP_PATH"] = str(library)
    return ctypes.CDLL(str(library))


def activate() -> None:
    """Triton's HIP driver for a device that is not there; it asks the library what that is."""
    torch.version.hip = "6.4"
    from triton.backends.amd.driver import HIPDriver

    device.activate(HIPDriver)


def arrange(arch: str, choice: str) -> Device:
    """Let Triton compile and launch for gfx``arch``; see ``estimates.estimate`` of choice."""
    folder = Path(tempfile.mkdtemp())
    library, held = build(folder, f"gfx{arch}"), memory.build(folder)

    def make(kernel: Any) -> Machine:
        return Machine(parse(kernel.asm["amdgcn"]), held, kernel.metadata.shared, choice)

    activate()
    return Device(library, make)
