"""Where the Triton backend is tested: on a GPU, else in the interpreter, or as machine code.

With PTX=80, 90 or 100, or AMD=90a, 942 or 950, the kernels are compiled for that architecture and
launched as on a GPU, and a machine runs their PTX (``tests/ptx/``) or AMD assembly
(``tests/amd/``); ESTIMATES=low or high makes what its estimating instructions give as small or as
large as it may be.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator

import pytest
import torch

PTX, AMD = os.environ.get("PTX"), os.environ.get("AMD")
ESTIMATES = os.environ.get("ESTIMATES", "any")
COMPILER = os.environ.get("CC", "gcc")
DEVICE = None

# Asked before a driver's stand-in is loaded, which torch would take for a broken driver; torch
# keeps the answer.
HAS_CUDA = torch.cuda.is_available()

if PTX and AMD:
    raise pytest.UsageError("PTX and AMD are two devices, one process has one")
if (PTX or AMD) and shutil.which(COMPILER):
    if PTX:
        from tests.ptx.device import arrange
    else:
        from tests.amd.device import arrange

    DEVICE = arrange(PTX or AMD, ESTIMATES)
elif not (PTX or AMD) and not HAS_CUDA:
    if "triton" in sys.modules and os.environ.get("TRITON_INTERPRET") != "1":
        raise pytest.UsageError("run tests/conformance by itself with TRITON_INTERPRET=1")
    os.environ["TRITON_INTERPRET"] = "1"


def pytest_report_header() -> str:
    from tests.conformance.backends import AVAILABLE, MISSING

    where = torch.cuda.get_device_name() if HAS_CUDA else "the interpreter"
    where = f"a machine that runs PTX for sm_{PTX}" if PTX else where
    where = f"a machine that runs assembly for gfx{AMD}" if AMD else where
    missing = "".join(f"; {name} is not here: {why}" for name, why in MISSING.items())
    return f"conformance: {', '.join(AVAILABLE)} (Triton on {where}){missing}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if (PTX or AMD) and DEVICE is None:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=f"no C compiler {COMPILER}"))


@pytest.fixture(autouse=True)
def _failures() -> Iterator[None]:
    """What went wrong in a launch, of which Triton's launcher says only that something did."""
    yield
    if DEVICE is not None and DEVICE.failure is not None:
        failure, DEVICE.failure = DEVICE.failure, None
        raise failure
