"""Where the Triton backend is tested: on a GPU, else in the interpreter, or as PTX.

With PTX=80, 90 or 100 the kernels are compiled for that architecture and launched as on a GPU, and
a machine runs their PTX (``tests/ptx/``); RSQRT=low or high makes all its reciprocal roots as small
or as large as the instruction may.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator

import pytest
import torch

PTX = os.environ.get("PTX")
COMPILER = os.environ.get("CC", "gcc")
DEVICE = None

# Asked before the driver's stand-in is loaded, which torch would take for a broken driver; torch
# keeps the answer.
HAS_CUDA = torch.cuda.is_available()

if PTX and shutil.which(COMPILER):
    from tests.ptx.device import Device

    DEVICE = Device(int(PTX), os.environ.get("RSQRT", "any"))
elif not PTX and not HAS_CUDA:
    if "triton" in sys.modules and os.environ.get("TRITON_INTERPRET") != "1":
        raise pytest.UsageError("run tests/conformance by itself with TRITON_INTERPRET=1")
    os.environ["TRITON_INTERPRET"] = "1"


def pytest_report_header() -> str:
    from tests.conformance.backends import AVAILABLE, MISSING

    where = torch.cuda.get_device_name() if HAS_CUDA else "the interpreter"
    where = f"a machine that runs PTX for sm_{PTX}" if PTX else where
    missing = "".join(f"; {name} is not here: {why}" for name, why in MISSING.items())
    return f"conformance: {', '.join(AVAILABLE)} (Triton on {where}){missing}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if PTX and DEVICE is None:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=f"no C compiler {COMPILER}"))


@pytest.fixture(autouse=True)
def _failures() -> Iterator[None]:
    """What went wrong in a launch, of which Triton's launcher says only that something did."""
    yield
    if DEVICE is not None and DEVICE.failure is not None:
        failure, DEVICE.failure = DEVICE.failure, None
        raise failure
