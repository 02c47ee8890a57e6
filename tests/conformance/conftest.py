"""The Triton backend is tested on a GPU where there is one, else in Triton's interpreter."""

from __future__ import annotations

import os
import sys

import pytest
import torch

if not torch.cuda.is_available():
    if "triton" in sys.modules and os.environ.get("TRITON_INTERPRET") != "1":
        raise pytest.UsageError("run tests/conformance by itself with TRITON_INTERPRET=1")
    os.environ["TRITON_INTERPRET"] = "1"


def pytest_report_header() -> str:
    from tests.conformance.backends import AVAILABLE, MISSING

    where = torch.cuda.get_device_name() if torch.cuda.is_available() else "the interpreter"
    missing = "".join(f"; {name} is not here: {why}" for name, why in MISSING.items())
    return f"conformance: {', '.join(AVAILABLE)} (Triton on {where}){missing}"
