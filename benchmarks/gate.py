"""No figure without the right bits: the fills that are timed, checked against the reference.

Every comparison is with the numpy backend, element for element; constants, eye_ and dirac_
are compared with torch.nn.init's; of orthogonal_ Q^T Q = I is checked.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tritoninit import Key, init
from tritoninit.backends.host import fill
from tritoninit.backends.numpy_ import NumpyBackend
from tritoninit.layout import DTYPES
from tritoninit.recipe import Normal, Recipe, Sparse, TruncNormal, Uniform
from tritoninit.region import Region

KEY = Key(20261123).fold_in("benchmarks")
SHAPE = (61, 4099)  # more than one tile and one thread, and nothing divides it
TAIL = 4097  # elements compared at the end of a tensor of the largest size
CORNER = 40  # rows and columns compared at either end of a part
RANDOM = (
    (init.normal_, Normal(0.0, 1.0)),
    (init.uniform_, Uniform(0.0, 1.0)),
    (init.trunc_normal_, TruncNormal(0.0, 1.0, -2.0, 2.0)),
)
BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def _reference(
    recipe: Recipe, region: Region, shape: tuple[int, ...], dtype: torch.dtype
) -> Tensor:
    out = torch.empty(region.numel, dtype=dtype)
    flat = (out.view(torch.uint16) if dtype.itemsize == 2 else out).numpy()
    fill(NumpyBackend(), flat, region, shape, recipe, KEY, DTYPES[dtype], 1)
    return out


def same(ours: Tensor, reference: Tensor) -> bool:
    """Whether two tensors hold the same bits, wherever they are."""
    bits = BITS[ours.element_size()]
    left, right = (t.detach().cpu().reshape(-1).view(bits).numpy() for t in (ours, reference))
    return bool(np.array_equal(left, right))


def _whole(device: torch.device, dtype: torch.dtype) -> list[str]:
    """The random recipes on a whole tensor that no power of two divides."""
    rows, columns = SHAPE
    region = Region.whole(SHAPE, (columns, 1))
    bound = math.sqrt(6.0 / columns)
    std = math.sqrt(2.0 / (rows + columns))
    tensor = torch.empty(SHAPE, dtype=dtype, device=device)
    checks = (
        ("normal_", init.normal_(tensor.clone(), generator=KEY), Normal(0.0, 1.0)),
        ("uniform_", init.uniform_(tensor.clone(), generator=KEY), Uniform(0.0, 1.0)),
        (
            "trunc_normal_",
            init.trunc_normal_(tensor.clone(), generator=KEY),
            TruncNormal(0.0, 1.0, -2.0, 2.0),
        ),
        (
            "kaiming_uniform_",
            init.kaiming_uniform_(tensor.clone(), generator=KEY),
            Uniform(-bound, bound),
        ),
        ("xavier_normal_", init.xavier_normal_(tensor.clone(), generator=KEY), Normal(0.0, std)),
        ("sparse_", init.sparse_(tensor.clone(), 0.1, generator=KEY), Sparse(0.1, 0.01)),
    )
    return [
        f"{name} {dtype}"
        for name, ours, recipe in checks
        if not same(ours, _reference(recipe, region, SHAPE, dtype))
    ]


def _largest(device: torch.device, dtype: torch.dtype, numel: int) -> list[str]:
    """The end of a tensor of the largest size that is timed."""
    count = min(TAIL, numel)
    region = Region.flat_run(numel, numel - count, count)
    tensor = torch.empty(numel, dtype=dtype, device=device)
    failed = []
    for call, recipe in RANDOM:
        ours = call(tensor, generator=KEY)[numel - count :]
        if not same(ours, _reference(recipe, region, (numel,), dtype)):
            failed.append(f"{call.__name__} {dtype}, last of {numel} elements")
    return failed


def _patterns(device: torch.device, dtype: torch.dtype) -> list[str]:
    failed = []
    for name, shape, arguments in (
        ("constant_", SHAPE, (0.1,)),
        ("eye_", SHAPE, ()),
        ("dirac_", (48, 20, 3, 5), (3,)),
    ):
        nans = torch.full(shape, math.nan, dtype=dtype, device=device)
        ours = getattr(init, name)(nans.clone(), *arguments)
        if not same(ours, getattr(torch.nn.init, name)(nans, *arguments)):
            failed.append(f"{name} {dtype}")
    return failed


def _orthogonal(device: torch.device) -> list[str]:
    q = init.orthogonal_(torch.empty(300, 200, device=device), generator=KEY).double()
    error = (q.t() @ q - torch.eye(200, dtype=torch.float64, device=device)).abs().max().item()
    return [] if error < 2.0**-20 else [f"orthogonal_: |Q^T Q - I| = {error:.3g}"]


def check_parts(
    device: torch.device,
    dtypes: Sequence[torch.dtype],
    parts: Sequence[tuple[tuple[int, int], tuple[int, int]]],
    size: int,
) -> None:
    """The same for parts (offset, sizes) of a square matrix: the corners of each are compared."""
    shape = (size, size)
    failed = []
    for dtype in dtypes:
        for offset, sizes in parts:
            rows, columns = (min(CORNER, n) for n in sizes)
            for call, recipe in RANDOM:
                part = torch.empty(sizes, dtype=dtype, device=device)
                call(part, generator=KEY, global_shape=shape, global_offset=offset)
                for top, left in ((0, 0), (sizes[0] - rows, sizes[1] - columns)):
                    corner = part[top : top + rows, left : left + columns]
                    begin = (offset[0] + top, offset[1] + left)
                    region = Region(shape, begin, (rows, columns), (columns, 1))
                    if not same(corner, _reference(recipe, region, shape, dtype)):
                        failed.append(f"{call.__name__} {dtype}, {sizes} at {offset}")
    _conclude(failed, device, dtypes)


def check(device: torch.device, dtypes: Sequence[torch.dtype], numel: int) -> None:
    """Exit with a message and no figure where one value is not the reference's."""
    failed = _orthogonal(device)
    for dtype in dtypes:
        failed += _whole(device, dtype) + _largest(device, dtype, numel) + _patterns(device, dtype)
    _conclude(failed, device, dtypes)


def _conclude(failed: list[str], device: torch.device, dtypes: Sequence[torch.dtype]) -> None:
    if failed:
        sys.exit("conformance gate failed, so nothing was timed: " + "; ".join(failed))
    names = ", ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
    print(f"conformance gate passed on {device} ({names})", flush=True)
