"""Haar-distributed orthogonal matrices, computed in float64 and rounded once."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tritoninit.backends import host_backend
from tritoninit.backends.host import fill
from tritoninit.recipe import Normal
from tritoninit.region import Region
from tritoninit.sampler import DType
from tritoninit.stream import Key


def orthogonal(shape: tuple[int, ...], gain: float, key: Key, device: torch.device) -> Tensor:
    """gain * Q as a float64 tensor of ``shape``, flattened to (shape[0], the rest) for Q.

    G holds float64 standard normals of the key's stream; Q is the factor of the QR
    decomposition of G (of its transpose where it is wide) whose R has a positive diagonal,
    which makes Q Haar-distributed (F. Mezzadri, "How to generate random matrices from the
    classical compact groups", Notices of the AMS 54, 2007).

    Memory: G, its factorisation and Q, 8 bytes an element each.
    """
    rows, columns = shape[0], math.prod(shape[1:])
    normals = torch.empty((rows, columns), dtype=torch.float64, device="cpu")
    sizes = (rows, columns)
    fill(
        host_backend(),
        normals.view(-1).numpy(),
        Region.whole(sizes, (columns, 1)),
        sizes,
        Normal(0.0, 1.0),
        key,
        DType.FLOAT64,
        torch.get_num_threads(),
    )
    g = normals.to(device)
    q, r = torch.linalg.qr(g if rows >= columns else g.t())
    q *= torch.where(torch.diagonal(r) < 0, -gain, gain)
    return (q if rows >= columns else q.t()).reshape(shape)
