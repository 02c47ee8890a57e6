"""Tensors filled by the Triton kernels through ``fill``: real and complex, whole and in parts.

On a machine without a GPU the kernels run in the interpreter, on host tensors that are routed to
them.  What the host's own backend writes is the reference.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from tests.conformance.backends import AVAILABLE
from tests.conformance.cases import KEY
from tritoninit import fill as fills
from tritoninit.fill import fill
from tritoninit.layout import Placement
from tritoninit.recipe import Dirac, Eye, Normal, Recipe, Sparse, TruncNormal, Uniform
from tritoninit.region import Region

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SHAPE = (21, 34)
pytestmark = pytest.mark.skipif("triton" not in AVAILABLE, reason="of the Triton launches")

RECIPES: dict[str, Recipe] = {
    "uniform": Uniform(-1.0, 3.0),
    "normal": Normal(0.5, 2.0),
    "sparse": Sparse(0.4, 1.0),
    "all sparse": Sparse(1.0, 1.0),
    "truncated": TruncNormal(0.0, 1.0, 1.0, math.inf),
    "eye": Eye(),
    "dirac": Dirac(3),
}
DTYPES = (torch.float64, torch.complex64, torch.complex128)
VIEWS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "contiguous": lambda whole: whole,
    "transposed": lambda whole: whole.mT.contiguous().mT,
    "every second column": lambda whole: whole.repeat_interleave(2, -1)[..., ::2],
    "conjugated": torch.Tensor.conj,
    "conjugated, transposed": lambda whole: whole.mT.contiguous().mT.conj(),
    "negated": torch._neg_view,
    "conjugated and negated": lambda whole: torch._neg_view(whole.conj()),
}
FEW = ("every second column", "conjugated and negated")  # of masks, slow in the interpreter
CASES = [
    (dtype, label)
    for dtype in DTYPES
    for label in RECIPES
    if not (dtype.is_complex and label == "truncated")  # torch.nn.init refuses it
]


def views(dtype: torch.dtype, label: str) -> list[str]:
    """The views that a dtype and a recipe are tried on."""
    names = FEW if "sparse" in label else tuple(VIEWS)
    return [name for name in names if dtype.is_complex or not name.startswith("conjugated")]


def shape_of(label: str) -> tuple[int, ...]:
    """The global shape: of convolutions the rows are 3 groups of 7."""
    return (21, 2, 17) if label == "dirac" else SHAPE


def expected(dtype: torch.dtype, label: str) -> torch.Tensor:
    """The whole tensor as the host writes it."""
    tensor = torch.full(shape_of(label), math.nan, dtype=dtype)
    fill(tensor, RECIPES[label], KEY)
    return tensor


@pytest.fixture
def routed(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, host tensors go to the kernels and the host's ways are closed."""

    def forbidden(*_: object) -> None:
        raise AssertionError("values were computed on the host")

    def route() -> None:
        monkeypatch.setattr(fills, "runs_triton", lambda tensor: True)
        for name in ("host_fill", "keep_mask", "_fill_copy"):
            monkeypatch.setattr(fills, name, forbidden)

    return route


@pytest.mark.parametrize(("dtype", "label"), CASES, ids=str)
def test_parts_of_any_view_are_filled_by_the_kernels(
    dtype: torch.dtype, label: str, routed: Callable[[], None]
) -> None:
    """Parts that begin and end within a block."""
    whole, shape = expected(dtype, label), shape_of(label)
    middle = (0,) * (len(shape) - 2)
    offset, sizes = (4, *middle, 3), (15, *shape[1:-1], shape[-1] - 8)
    part = whole[4:19, ..., 3:-5]
    routed()
    for name in views(dtype, label):
        local = VIEWS[name](torch.full(sizes, math.nan, dtype=dtype, device=DEVICE))
        version = local._version
        placement = Placement(Region(shape, offset, sizes, tuple(local.stride())), shape)
        fill(local, RECIPES[label], KEY, placement)
        assert torch.equal(local.cpu(), part), name
        assert local._version > version


@pytest.mark.parametrize("label", ["normal", "sparse"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_flat_runs_are_filled_by_the_kernels(
    dtype: torch.dtype, label: str, routed: Callable[[], None]
) -> None:
    whole = expected(dtype, label).flatten()
    routed()
    for start, length in ((5, 333), (6, 1)):
        run = torch.full((length,), math.nan, dtype=dtype, device=DEVICE)
        region = Region.flat_run(whole.numel(), start, length)
        fill(run, RECIPES[label], KEY, Placement(region, SHAPE))
        assert torch.equal(run.cpu(), whole[start : start + length]), start
