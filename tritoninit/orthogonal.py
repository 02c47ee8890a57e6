"""Haar-distributed orthogonal matrices, computed in float64 and rounded once."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tritoninit.backends import host_backend
from tritoninit.backends.host import fill_contiguous
from tritoninit.recipe import Normal
from tritoninit.sampler import DType, lower
from tritoninit.stream import Key

SMALL = 192  # columns up to which a compiled loop beats orgqr on the host (2 cores of a Zen 4)
PANEL = 64  # columns; 32 to 128 measure alike
ORGQR_COLUMNS = 192  # up to which orgqr beats panels


def orthogonal(shape: tuple[int, ...], gain: float, key: Key, device: torch.device) -> Tensor:
    """gain * Q as a float64 tensor of ``shape``, flattened to (shape[0], the rest) for Q.

    Q = H_1 H_2 ... S, where the Householder reflection H_k takes the part of column k of G from
    its diagonal down, a vector of float64 standard normals of the key's stream, to a multiple of
    the first unit vector, and the signs S make that multiple positive.  By the rotational
    invariance of the normal this Q has the distribution of the orthogonal factor of G, Haar's,
    for half the arithmetic of a QR decomposition (G. W. Stewart, "The efficient generation of
    random orthogonal matrices with an application to condition estimators", SIAM J. Numer.
    Anal. 17, 1980).  It is orthogonal to rounding whatever G is.  Wide matrices are transposed.

    Memory: the reflections in G's place, their squares, then Q: 16 bytes an element.
    """
    rows, columns = shape[0], math.prod(shape[1:])
    normals = torch.empty((rows, columns), dtype=torch.float64, device="cpu")
    sampler = lower(Normal(0.0, 1.0), (), DType.FLOAT64)
    flat = normals.numpy().reshape(-1)
    threads = torch.get_num_threads()
    backend = host_backend()
    fill_contiguous(backend, flat, key, sampler, DType.FLOAT64, threads)
    if device.type == "cpu" and backend.name == "numba" and min(rows, columns) <= SMALL:
        from tritoninit.backends.numba_orthogonal import product

        matrix = normals.numpy()
        made = product(matrix, gain) if rows >= columns else product(matrix.T, gain).T
        return torch.from_numpy(made).reshape(shape)
    g = normals.to(device)
    q = _product((g if rows >= columns else g.t()).tril_(), gain)
    return (q if rows >= columns else q.t()).reshape(shape)


def _product(tall: Tensor, gain: float) -> Tensor:
    """gain * H_1 ... H_n S for the lower-trapezoidal ``tall``, which is overwritten.

    Small: LAPACK's orgqr.  Larger: PANEL reflections at a time as I - V T V^T, T^-1 = triu(V^T V,
    1) + diag(1 / tau) (Puglisi, SIAM J. Sci. Stat. Comput. 13, 1992), all in matrix products.
    """
    size, columns = tall.shape
    diagonal = torch.diagonal(tall)
    norm = tall.square().sum(0).sqrt_().copysign_(diagonal)
    head = diagonal + norm
    scale = norm.sign().mul_(-gain)
    reflections = tall.div_(head)
    q: Tensor
    if columns <= ORGQR_COLUMNS:
        q = torch.linalg.householder_product(reflections, head / norm)
        return q.mul_(scale)
    inverse_tau = norm / head
    torch.diagonal(reflections).fill_(1.0)
    q = torch.zeros((size, columns), dtype=tall.dtype, device=tall.device)
    torch.diagonal(q).copy_(scale)
    for first in range((columns - 1) // PANEL * PANEL, -1, -PANEL):
        v = reflections[first:, first : first + PANEL]
        part = q[first:, first:]
        t = torch.mm(v.t(), v).triu_(1)
        torch.diagonal(t).copy_(inverse_tau[first : first + PANEL])
        w = torch.linalg.solve_triangular(t, torch.mm(v.t(), part), upper=True)
        part.addmm_(v, w, alpha=-1.0)
    return q
