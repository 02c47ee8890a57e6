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


def orthogonal(shape: tuple[int, ...], gain: float, key: Key, device: torch.device) -> Tensor:
    """gain * Q as a float64 tensor of ``shape``, flattened to (shape[0], the rest) for Q.

    Q = H_1 H_2 ... S, where the Householder reflection H_k takes the part of column k of G from
    its diagonal down, a vector of float64 standard normals of the key's stream, to a multiple of
    the first unit vector, and the signs S make that multiple positive.  By the rotational
    invariance of the normal this Q has the distribution of the orthogonal factor of G, Haar's,
    for half the arithmetic of a QR decomposition (G. W. Stewart, "The efficient generation of
    random orthogonal matrices with an application to condition estimators", SIAM J. Numer.
    Anal. 17, 1980).  It is orthogonal to rounding whatever G is.  Wide matrices are transposed.

    Memory: the reflections in G's place, and Q, 8 bytes an element each.
    """
    rows, columns = shape[0], math.prod(shape[1:])
    normals = torch.empty((rows, columns), dtype=torch.float64, device="cpu")
    sampler = lower(Normal(0.0, 1.0), (), DType.FLOAT64)
    flat = normals.numpy().reshape(-1)
    threads = torch.get_num_threads()
    fill_contiguous(host_backend(), flat, key, sampler, DType.FLOAT64, threads)
    g = normals.to(device)
    tall = (g if rows >= columns else g.t()).tril_()
    diagonal = torch.diagonal(tall)
    norm = torch.linalg.vector_norm(tall, dim=0).copysign_(diagonal)
    head = diagonal + norm
    q: Tensor = torch.linalg.householder_product(tall.div_(head), head / norm)
    q.mul_(norm.sign_().mul_(-gain))
    return (q if rows >= columns else q.t()).reshape(shape)
