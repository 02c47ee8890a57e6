"""Long draws against their recorded fingerprints."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch

from tests.golden.long_calls import COUNT, Draw, draws
from tritoninit import STREAM_VERSION

STORED = json.loads((Path(__file__).parent / "long.json").read_text())
HAS_NUMBA = importlib.util.find_spec("numba") is not None


def test_every_draw_is_recorded() -> None:
    assert list(STORED["sums"]) == [str(draw) for draw in draws()]
    assert len(set(STORED["sums"].values())) == len(STORED["sums"])
    assert (STORED["count"], STORED["stream_version"]) == (COUNT, STREAM_VERSION)


@pytest.mark.skipif(not HAS_NUMBA, reason="numpy alone would take minutes")
@pytest.mark.parametrize("draw", list(draws()), ids=str)
def test_host(draw: Draw) -> None:
    assert draw.sum() == STORED["sums"][str(draw)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("draw", list(draws()), ids=str)
def test_cuda(draw: Draw) -> None:
    assert draw.sum("cuda") == STORED["sums"][str(draw)]
