"""sparse_, eye_, dirac_ and constants on every backend, against brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.conformance.backends import AVAILABLE, GUARD, TORCH, run
from tests.conformance.cases import CASES, DTYPES, KEY, box, indices
from tests.conformance.shards import SHARDS
from tritoninit.fill import fill
from tritoninit.layout import Placement
from tritoninit.recipe import Constant, Dirac, Eye, Normal, Recipe, Sparse
from tritoninit.region import Region
from tritoninit.sampler import DType


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.value)
@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("name", AVAILABLE)
def test_sparse_zeros_are_the_smallest_keys(name: str, sparsity: float, dtype: DType) -> None:
    """Against a sort of (word, row) with words of the plain-integer oracle."""
    rows, columns = 23, 11
    recipe = Sparse(sparsity, 0.5)
    if sparsity == 1.0 and name != "triton":
        pytest.skip("all zeros are a constant, which the host writes with torch")
    shape = (rows, columns)
    region = Region.whole(shape, (columns, 1))
    values = run(name, recipe, region, shape, KEY, dtype)[GUARD - 8 :][: rows * columns]
    dense = run("numpy", Normal(0.0, 0.5), region, shape, KEY, dtype)[GUARD - 8 :]
    mask = KEY.fold_in("sparse.mask")
    expected = dense[: rows * columns].reshape(shape).copy()
    for column in range(columns):
        order = sorted(range(rows), key=lambda row: (mask.word(row * columns + column), row))
        expected[order[: math.ceil(sparsity * rows)], column] = 0
    assert (values.reshape(shape) == expected).all()


@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.FLOAT64], ids=lambda d: d.value)
@pytest.mark.parametrize("name", AVAILABLE)
def test_sparse_parts_agree_with_the_whole(name: str, dtype: DType) -> None:
    recipe, shape = Sparse(0.3, 1.0), (45, 37)
    whole = run(name, recipe, Region.whole(shape, (37, 1)), shape, KEY, dtype)
    whole = whole[GUARD - 8 :][: 45 * 37].reshape(shape)
    for offset, sizes in (
        ((7, 0), (20, 37)),
        ((0, 5), (45, 9)),
        ((3, 2), (11, 13)),
        ((0, 36), (45, 1)),
        ((44, 0), (1, 20)),
    ):
        rows, columns = (slice(o, o + n) for o, n in zip(offset, sizes, strict=True))
        apart = [(sizes[1] + 3, 1), (1, sizes[0])] if sizes == (45, 9) else []
        for strides in ((sizes[1], 1), *apart):
            region = Region(shape, offset, sizes, strides)
            part = run(name, recipe, region, shape, KEY, dtype)[GUARD - 8 :]
            part = np.lib.stride_tricks.as_strided(
                part, sizes, [step * part.itemsize for step in strides]
            )
            assert (part == whole[rows, columns]).all(), region
    run_of = Region.flat_run(45 * 37, 40, 1000)
    part = run(name, recipe, run_of, shape, KEY, dtype)[GUARD - 8 :][:1000]
    assert (part == whole.reshape(-1)[40:1040]).all()


@pytest.mark.parametrize("name", [name for name in AVAILABLE if name != "triton"])
def test_sparse_parts_of_many_columns_agree_with_the_whole(name: str) -> None:
    """Rows longer than the pieces in which they are generated."""
    recipe, shape = Sparse(0.4, 1.0), (6, 3000)
    whole = run(name, recipe, Region.whole(shape, (3000, 1)), shape, KEY, DType.FLOAT32)
    whole = whole[GUARD - 8 :][: 6 * 3000].reshape(shape)
    part = run(name, recipe, box(shape, (1, 300), (4, 2500)), shape, KEY, DType.FLOAT32)
    part = part[GUARD - 8 :][: 4 * 2500].reshape(4, 2500)
    assert (part == whole[1:5, 300:2800]).all()


PATTERNS: dict[str, tuple[Recipe, tuple[int, ...]]] = {
    "eye": (Eye(), (37, 23)),
    "wide eye": (Eye(), (11, 90)),
    "dirac": (Dirac(1), (12, 7, 5)),
    "dirac in groups": (Dirac(3), (12, 3, 4, 3)),
    "dirac with narrow groups": (Dirac(5), (10, 6, 2, 3, 5)),
}


def expected_pattern(recipe: Recipe, shape: tuple[int, ...]) -> torch.Tensor:
    """torch.nn.init's own result."""
    whole = torch.empty(shape)
    if isinstance(recipe, Dirac):
        return torch.nn.init.dirac_(whole, recipe.groups)
    return torch.nn.init.eye_(whole)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.value)
@pytest.mark.parametrize("label", PATTERNS)
@pytest.mark.parametrize("name", [*(n for n in AVAILABLE if n == "triton"), "host"])
def test_patterns_equal_torch_on_parts_of_any_kind(name: str, label: str, dtype: DType) -> None:
    recipe, shape = PATTERNS[label]
    whole = expected_pattern(recipe, shape).to(TORCH[dtype][0])
    numel = math.prod(shape)
    offset, sizes = tuple(n // 4 for n in shape), tuple(n - n // 3 for n in shape)
    part = whole[tuple(slice(o, o + n) for o, n in zip(offset, sizes, strict=True))]
    regions = (
        (Region.whole(shape, tuple(whole.stride())), whole),
        (Region.whole(shape, column_major(shape)), whole),
        (box(shape, offset, sizes), part),
        (Region(shape, offset, sizes, column_major(sizes)), part),
        *(one_dimension(shape, dim, whole) for dim in range(len(shape))),
        (Region.flat_run(numel, 9, numel - 20), whole.view(-1)[9 : numel - 11]),
    )
    for region, expected in regions:
        if name == "triton":
            buffer = run(name, recipe, region, shape, KEY, dtype)
            got = torch.from_numpy(buffer[GUARD - 8 :]).view(TORCH[dtype][0])
            got = got[: region.extent].as_strided(region.sizes, region.strides)
        else:
            flat = torch.full((region.extent,), float("nan"), dtype=TORCH[dtype][0])
            got = flat.as_strided(region.sizes, region.strides)
            fill(got, recipe, None, Placement(region, shape))
        assert torch.equal(got, expected), region


def one_dimension(
    shape: tuple[int, ...], dim: int, whole: torch.Tensor
) -> tuple[Region, torch.Tensor]:
    """The third of three parts of the whole along one dimension."""
    size = shape[dim] - shape[dim] * 2 // 3
    part = whole.narrow(dim, shape[dim] - size, size)
    offset = tuple((shape[dim] - size) * (d == dim) for d in range(len(shape)))
    return box(shape, offset, tuple(part.shape)), part


def column_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a tensor whose first dimension is contiguous."""
    return tuple(math.prod(shape[:dim]) for dim in range(len(shape)))


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.value)
@pytest.mark.skipif("triton" not in AVAILABLE, reason="constants on the host are torch's fill_")
def test_constants_fill_every_layout(dtype: DType) -> None:
    value = torch.tensor(0.3, dtype=TORCH[dtype][0]).view(TORCH[dtype][1]).item()
    chosen = ("odd size", "misaligned", "transposed", "columns", "five axes")
    for label, case in {**{name: CASES[name] for name in chosen}, **SHARDS}.items():
        buffer = run("triton", Constant(0.3), case.region, case.shape, case.key, dtype, case.shift)
        _, place = indices(case)
        assert (buffer[place] == value).all(), label
        assert (np.delete(buffer, place) != value).all(), label
