"""Rounding to float16 without the processor's instruction, and kernels on a processor of 2003."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import numpy as np
import pytest

numba = pytest.importorskip("numba")

LOW = [0, 1, 0xFFE, 0xFFF, 0x1000, 0x1001, 0x1FFE, 0x1FFF]  # around the ties of 13 dropped bits


def test_integers_round_as_numpy_does() -> None:
    from tritoninit.backends.numba_stores import store_float16

    high = np.arange(1 << 19, dtype=np.uint32) << np.uint32(13)
    bits = (high[:, None] | np.array(LOW, np.uint32)).reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        values = bits.view(np.float32)
        expected = values.astype(np.float16)
        stored = numba.vectorize([numba.uint16(numba.float32)])(store_float16)(values)
    nan = np.isnan(values)
    assert np.array_equal(stored[~nan], expected.view(np.uint16)[~nan])
    assert np.isnan(stored.view(np.float16)[nan]).all()


CODE = """
import torch
from tritoninit import Key, init
from tritoninit.backends.numba_stores import converts_halves
from tests.golden.golden_calls import numpy_alone

assert not converts_halves()
for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
    for std in (1.0, 2.0**-20, 3e4):
        found, expected = torch.empty(999, dtype=dtype), torch.empty(999, dtype=dtype)
        init.normal_(found, std=std, generator=Key(3))
        with numpy_alone():
            init.normal_(expected, std=std, generator=Key(3))
        assert torch.equal(found.view(torch.uint8), expected.view(torch.uint8)), (dtype, std)
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="of x86 processors")
def test_kernels_compiled_for_any_x86_processor_give_the_same_bits(tmp_path) -> None:
    # LLVM took a function that is nowhere to be found, and aborted.
    plain = {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, env=os.environ | plain, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
