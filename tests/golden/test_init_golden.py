"""The public initializers' values against recorded fingerprints, on every backend at hand."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.golden.golden_calls import Call, calls, numpy_alone
from tritoninit import STREAM_VERSION, fingerprint

STORED = json.loads((Path(__file__).parent / "init.json").read_text())
HAS_NUMBA = importlib.util.find_spec("numba") is not None

pytestmark = pytest.mark.filterwarnings("ignore:mean is more than 2 std")
each_call = pytest.mark.parametrize("call", list(calls()), ids=str)


def contiguous(sizes: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    return torch.empty(sizes, dtype=dtype)


def turned(sizes: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """The last dimension is the outermost in memory."""
    return torch.empty((sizes[-1], *sizes[:-1]), dtype=dtype).movedim(0, -1)


def padded(sizes: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Every row is followed by three elements that are not the tensor's."""
    return torch.empty((*sizes[:-1], sizes[-1] + 3), dtype=dtype)[..., : sizes[-1]]


def found(call: Call, tensor: Tensor) -> str:
    return fingerprint({call.name: tensor})


def test_every_call_is_recorded() -> None:
    assert list(STORED["sums"]) == [str(call) for call in calls()]
    assert STORED["stream_version"] == STREAM_VERSION, f"make new vectors: {STORED['command']}"


@pytest.mark.skipif(not HAS_NUMBA, reason="numba is not installed")
@pytest.mark.parametrize("make", [contiguous, turned, padded])
@each_call
def test_numba(call: Call, make) -> None:
    assert found(call, call.fill(make)) == STORED["sums"][str(call)]


@each_call
def test_numpy(call: Call) -> None:
    with numpy_alone():
        tensor = call.fill(contiguous)
    assert found(call, tensor) == STORED["sums"][str(call)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("make", [contiguous, turned, padded])
def test_cuda(make) -> None:
    wrong = []
    for call in calls():
        with torch.device("cuda"):
            tensor = call.fill(make)
        if found(call, tensor) != STORED["sums"][str(call)]:
            wrong.append(str(call))
    assert not wrong
