"""Haar-distributed orthogonal matrices, computed in float64 and rounded once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from tritoninit.backends import host_backend
from tritoninit.backends.host import fill_contiguous
from tritoninit.recipe import Normal
from tritoninit.region import Region
from tritoninit.sampler import DType, lower
from tritoninit.stream import Key

HOST = torch.device("cpu")
DEVICES = ("cuda",)  # that compute matrices themselves
# Compute capabilities with half as many float64 as float32 operations.  The others have a 32nd
# or a 64th: an RTX 4090 or B300 as much as 16 cores, a T4 as much as 4 of the 90 GFLOP/s a core.
FAST_FLOAT64 = {(6, 0), (7, 0), (8, 0), (9, 0), (10, 0)}
HOST_WORK = 1 << 20  # rows * columns^2 that the host does in some 50 us, what 10 launches take
PANELS = {"cuda": 256, "cpu": 64}  # reflections; float64 tensor cores need the longer products
STACK = 1 << 22  # elements of the matrices that a GPU computes together: 32 MiB
MOST_STACKED = 64
BATCH = 1 << 24  # elements of copies that are held at once


class Matrix(NamedTuple):
    """A whole tensor on any device, in any dtype and with any strides, and what it will hold."""

    out: Tensor
    gain: float
    key: Key


def orthogonal(
    shape: tuple[int, ...], gain: float, key: Key, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """A new matrix, see :func:`fill_matrices`, in ``number_dtype(dtype)``."""
    made = torch.empty(shape, dtype=number_dtype(dtype), device=device)
    fill_matrices([Matrix(made, gain, key)])
    return made


def number_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype to which a matrix is rounded first: float64 or float32."""
    return torch.float64 if dtype in (torch.float64, torch.complex128) else torch.float32


def fill_matrices(matrices: Iterable[Matrix]) -> None:
    """Write gain * Q into each tensor, flattened to (shape[0], the rest) for Q.

    Q = H_1 H_2 ... S, where the Householder reflection H_k takes the part of column k of G from
    its diagonal down, a vector of float64 standard normals of the key's stream, to a multiple of
    the first unit vector, and the signs S make that multiple positive.  By the rotational
    invariance of the normal this Q has the distribution of the orthogonal factor of G, Haar's,
    for half the arithmetic of a QR decomposition and whatever the condition of G (G. W.
    Stewart, "The efficient generation of random orthogonal matrices with an application to
    condition estimators", SIAM J. Numer. Anal. 17, 1980).  Wide matrices are transposed.

    A matrix does not depend on the others.  On the host, with numba, its bits do not depend on
    the number of threads or the processor either (``backends/numba_orthogonal.py``).  A GPU
    multiplies matrices of one shape together, always a full stack, so that its library sees the
    same products however many there are.  The host also computes what is small, and what goes to
    a GPU with slow float64.

    Memory beside the tensors, for m x n with m >= n: on the host 8 (m n - n^2 / 2) bytes for the
    reflections, 1 GiB for a square of 16384, and 192 m bytes a thread (of matrices up to 256 x
    256 up to 16 m n in all); on a GPU 8 m n bytes, or 32 MiB for a stack of small ones, and three
    panels of 256 columns.  Tensors that are neither float32 nor float64, or elsewhere than they
    are computed, also take a copy in float32.

    The tensors' version counters are not touched.
    """
    for batch in _batches(matrices):
        stacks: dict[tuple[torch.device, int, int], list[Matrix]] = {}
        on_host: list[Matrix] = []
        for matrix in batch:
            rows, columns = _flat(matrix.out)
            if not rows * columns:
                continue
            if _is_for_host(matrix.out.device, rows, columns):
                on_host.append(matrix)
            else:
                stacks.setdefault((matrix.out.device, rows, columns), []).append(matrix)
        if host_backend().name == "numba":
            _on_host(on_host)
        else:
            for matrix in on_host:
                _stack(HOST, *_flat(matrix.out), [matrix], 1)
        for (device, rows, columns), members in stacks.items():
            size = max(1, min(MOST_STACKED, STACK // (rows * columns)))
            for first in range(0, len(members), size):
                _stack(device, rows, columns, members[first : first + size], size)


def _batches(matrices: Iterable[Matrix]) -> Iterator[list[Matrix]]:
    """Some of the matrices at a time, so that copies take bounded memory."""
    batch: list[Matrix] = []
    held = 0
    for matrix in matrices:
        if batch and held + matrix.out.numel() > BATCH:
            yield batch
            batch, held = [], 0
        batch.append(matrix)
        held += matrix.out.numel()
    yield batch


def _flat(tensor: Tensor) -> tuple[int, int]:
    return tensor.shape[0], math.prod(tensor.shape[1:])


def _is_for_host(device: torch.device, rows: int, columns: int) -> bool:
    """Where a matrix is computed: a rule of the kind of device and the shape alone."""
    if device.type not in DEVICES or rows * columns * min(rows, columns) <= HOST_WORK:
        return True
    kind = torch.cuda.get_device_capability(device)
    if torch.version.hip is not None:
        return kind[0] != 9  # CDNA is gfx9, and has fast float64
    return kind not in FAST_FLOAT64


def _on_host(matrices: list[Matrix]) -> None:
    from tritoninit.backends.orthogonal import Target, write

    targets, copies = [], []
    for out, gain, key in matrices:
        rows, columns = _flat(out)
        numbers = out.detach()
        direct = out.is_cpu and out.dtype is number_dtype(out.dtype) and not out.is_neg()
        if not direct or not (out.dim() == 2 or out.is_contiguous()):
            numbers = torch.empty(out.shape, dtype=number_dtype(out.dtype), device=HOST)
            copies.append((out, numbers))
        row_step, column_step = numbers.stride() if out.dim() == 2 else (columns, 1)
        double = numbers.dtype is torch.float64
        place = numbers.data_ptr(), row_step, column_step, double
        targets.append(Target(rows, columns, key, gain, *place))
    write(host_backend(), targets, torch.get_num_threads())
    for out, numbers in copies:
        out.detach().copy_(numbers)


def _stack(device: torch.device, rows: int, columns: int, members: list[Matrix], size: int) -> None:
    """Matrices of one shape together, with idle ones in the place of missing ones."""
    normals = torch.empty((size, rows, columns), dtype=torch.float64, device=device)
    for part, member in zip(normals, members, strict=False):
        _draw(part, member.key)
    normals[len(members) :] = normals[0]
    gains = [member.gain for member in members] + [1.0] * (size - len(members))
    gain = torch.tensor(gains, dtype=torch.float64).to(device)[:, None]
    multiply(normals if rows >= columns else normals.mT, gain)
    for (out, _, _), made in zip(members, normals, strict=False):
        dtype = number_dtype(out.dtype)
        rounded = made if out.dtype is dtype else made.to(dtype)
        out.detach().copy_(rounded.view(out.shape))


def _draw(part: Tensor, key: Key) -> None:
    """Standard normals, where the matrix is computed."""
    normal, shape = Normal(0.0, 1.0), tuple(part.shape)
    if part.device.type in DEVICES:
        from tritoninit.backends import triton_

        region = Region.whole(shape, part.stride())
        triton_.fill(part.view(-1), region, shape, normal, key, DType.FLOAT64)
        return
    sampler, threads = lower(normal, (), DType.FLOAT64), torch.get_num_threads()
    flat = part.numpy().reshape(-1)
    fill_contiguous(host_backend(), flat, key, sampler, DType.FLOAT64, threads)


def multiply(tall: Tensor, gain: Tensor) -> None:
    """Put gain * H_1 ... H_n S in the place of each of the normals [stack, rows, columns].

    Panels of reflections as I - V T V^T, T^-1 = triu(V^T V, 1) + diag(1 / tau) (Puglisi, SIAM J.
    Sci. Stat. Comput. 13, 1992), from the last to the first, so that Q grows in the place of the
    reflections that have been applied: 4/3 n^3 operations, nearly all in matrix products.
    """
    stack, columns = tall.shape[0], tall.shape[2]
    width = min(columns, PANELS[tall.device.type])
    by_rows = tall.stride(2) == 1
    unit = torch.eye(width, dtype=tall.dtype, device=tall.device).expand(stack, -1, -1)
    for first in range((columns - 1) // width * width, -1, -width):
        panel = tall[:, first:, first : first + width]
        size, k = panel.shape[1:]
        v = tall.new_empty((stack, size, k) if by_rows else (stack, k, size))
        v = v if by_rows else v.mT
        v.copy_(panel)[:, :k].tril_()
        top, diagonal = v[:, :k], v.diagonal(dim1=1, dim2=2)
        norm = v.square().sum(1).sqrt_().copysign_(diagonal)
        head = diagonal + norm
        signs = norm.sign() * -gain
        v.div_(head[:, None])
        diagonal.fill_(1.0)
        inverse = torch.bmm(v.mT, v).triu_(1)
        inverse.diagonal(dim1=1, dim2=2).copy_(norm / head)
        t = torch.linalg.solve_triangular(inverse, unit[:, :k, :k], upper=True)
        if first + k < columns:
            q = tall[:, first + k :, first + k :]
            w = torch.bmm(t, torch.bmm(v[:, k:].mT, q))
            tall[:, first : first + k, first + k :].baddbmm_(top, w, beta=0, alpha=-1)
            q.baddbmm_(v[:, k:], w, alpha=-1)
        panel.baddbmm_(v, torch.bmm(t, top.mT * signs[:, None]), beta=0, alpha=-1)
        panel.diagonal(dim1=1, dim2=2).add_(signs)
