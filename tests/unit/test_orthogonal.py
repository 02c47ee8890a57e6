"""The three ways to multiply reflections give one matrix, to rounding."""

from __future__ import annotations

import math

import pytest
import torch

from tritoninit import Key, init, orthogonal

CPU = torch.device("cpu")
SHAPES = [(1, 1), (5, 5), (40, 7), (7, 40), (6, 2, 3, 3), (200, 130), (130, 300), (193, 193)]


@pytest.mark.parametrize("gain", [1.0, -0.5])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_compiled_orgqr_and_panels_agree(
    shape: tuple[int, ...], gain: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = []
    for small, orgqr in ((10**9, 0), (0, 10**9), (0, 0)):
        monkeypatch.setattr(orthogonal, "SMALL", small)
        monkeypatch.setattr(orthogonal, "ORGQR_COLUMNS", orgqr)
        ways.append(orthogonal.orthogonal(shape, gain, Key(5), CPU))
    for way in ways:
        assert way.dtype == torch.float64
        assert tuple(way.shape) == shape
        assert torch.allclose(way, ways[0], rtol=0, atol=1e-13)
    flat = ways[0].reshape(shape[0], math.prod(shape[1:]))
    flat = flat if flat.shape[0] >= flat.shape[1] else flat.t()
    identity = gain**2 * torch.eye(flat.shape[1], dtype=torch.float64)
    assert torch.allclose(flat.t() @ flat, identity, rtol=0, atol=1e-13)


def test_the_first_column_is_the_normalised_first_column_of_normals() -> None:
    """R has a positive diagonal: column 0 of Q is column 0 of G over its length."""
    g = torch.empty(9, 4, dtype=torch.float64)

    init.normal_(g, generator=Key(6))
    q = orthogonal.orthogonal((9, 4), 2.0, Key(6), CPU)
    assert torch.allclose(q[:, 0], 2.0 * g[:, 0] / g[:, 0].norm(), rtol=0, atol=1e-14)
