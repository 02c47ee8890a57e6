"""Stacks of orthogonal matrices on a GPU: the host's matrices, however many are asked for.

On a machine without a GPU the same operations of torch run on the CPU, and the kernels that draw
the normals in the interpreter.
"""

from __future__ import annotations

import pytest
import torch

from tests.conformance.backends import AVAILABLE
from tests.conformance.cases import KEY
from tritoninit import orthogonal
from tritoninit.orthogonal import Matrix, fill_matrices

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
CASES = [
    *((shape, torch.float32) for shape in ((130, 130), (150, 70), (70, 150), (64, 10, 3))),
    *(((70, 150), dtype) for dtype in (torch.float64, torch.bfloat16)),
]
LEAST = 2.0**-48  # where one float32 ulp is less, for a gain of 1
pytestmark = pytest.mark.skipif("triton" not in AVAILABLE, reason="of the Triton launches")


@pytest.fixture(autouse=True)
def _stacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small matrices are stacked too, and the CPU stands in for a GPU."""
    monkeypatch.setattr(orthogonal, "HOST_WORK", 0)
    monkeypatch.setattr(orthogonal, "STACK", 40_000)  # two of most shapes
    monkeypatch.setitem(orthogonal.PANELS, DEVICE.type, 64)
    if DEVICE.type == "cpu":
        monkeypatch.setattr(orthogonal, "DEVICES", ("cpu",))
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))


@pytest.mark.parametrize(("shape", "dtype"), CASES, ids=str)
def test_a_stack_holds_the_hosts_matrices(
    shape: tuple[int, ...], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [KEY.fold_in(i) for i in range(3)]
    outs = [torch.empty(shape, dtype=dtype, device=DEVICE) for _ in keys]
    fill_matrices([Matrix(out, 1.0, key) for out, key in zip(outs, keys, strict=True)])
    alone = torch.empty_like(outs[1])
    fill_matrices([Matrix(alone, 1.0, keys[1])])
    assert torch.equal(alone, outs[1])

    monkeypatch.setattr(orthogonal, "DEVICES", ())
    for out, key in zip(outs, keys, strict=True):
        expected = torch.empty(shape, dtype=dtype)
        fill_matrices([Matrix(expected, 1.0, key)])
        ulps = 2.0**-7 if dtype is torch.bfloat16 else 2.0**-23
        off = (out.cpu().double() - expected.double()).abs()
        assert (off <= expected.double().abs() * ulps + LEAST).all()
        if dtype is torch.float64:
            assert off.max() < 1e-14
