"""The fingerprint's sums on Triton: the number of the plain-integer oracle and of the host."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.conformance.backends import AVAILABLE
from tests.conformance.cases import CASES
from tests.unit.test_digest import KEY, REGIONS
from tests.unit.test_digest import expected as from_the_oracle
from tritoninit import fingerprint
from tritoninit.backends.digest import digest as host_digest
from tritoninit.backends.numpy_ import NumpyBackend
from tritoninit.digest import Digest
from tritoninit.fingerprint import local
from tritoninit.region import Region

pytestmark = pytest.mark.skipif("triton" not in AVAILABLE, reason="Triton is not installed")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
UNSIGNED = [torch.uint8, torch.uint16, torch.uint32, torch.uint64]
PATTERN = 0x5A
LAYOUTS = {
    **{label: (case.region, case.shift) for label, case in CASES.items()},
    **{f"{label}, of the host's": (region, 0) for label, region in REGIONS.items()},
    "six axes": (Region.whole((3, 2, 5, 2, 3, 4), (1, 3, 6, 40, 90, 270)), 0),
    "two programs": (Region.whole((4099,), (1,)), 3),
}


def on_triton(data: np.ndarray, shift: int, region: Region) -> Digest:
    """The sums, with memory ``shift`` elements after a multiple of 16 bytes."""
    from tritoninit.backends import triton_digest

    buffer = torch.full(((shift + data.size + 8) * data.itemsize,), PATTERN, dtype=torch.uint8)
    flat = buffer.view(local.UNSIGNED[data.itemsize])
    flat.numpy()[shift : shift + data.size] = data
    moved = flat.to(DEVICE)
    table = torch.arange(6, dtype=torch.int64, device=DEVICE).view(3, 2)
    triton_digest.digest(moved[shift : shift + data.size], region, KEY, table, 1)
    rows = table.tolist()
    assert rows[0] == [0, 1]
    assert rows[2] == [4, 5]
    return Digest((rows[1][0] - 2) % 2**64, (rows[1][1] - 3) % 2**64)


def random(region: Region, dtype: torch.dtype) -> np.ndarray:
    kind = torch.empty(0, dtype=dtype).numpy().dtype
    top = np.iinfo(kind).max
    return np.random.default_rng(2).integers(0, top, region.extent, kind, endpoint=True)


@pytest.mark.parametrize("dtype", UNSIGNED, ids=str)
@pytest.mark.parametrize("label", LAYOUTS)
def test_every_layout(label: str, dtype: torch.dtype) -> None:
    region, shift = LAYOUTS[label]
    data = random(region, dtype)
    found = on_triton(data, shift, region)
    assert found == host_digest(NumpyBackend(), data, region, KEY, 1)
    assert (found == Digest()) == (region.numel == 0)


@pytest.mark.parametrize("dtype", UNSIGNED, ids=str)
def test_the_oracle(dtype: torch.dtype) -> None:
    for label in ("transposed", "beyond 2**32", "a strided box", "all one memory"):
        case = REGIONS[label]
        data = random(case, dtype)
        assert on_triton(data, 1, case) == from_the_oracle(data, case), label


def test_large_axes_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    from tritoninit.backends import triton_digest

    region = CASES["transposed"].region
    data = random(region, torch.uint32)
    whole = on_triton(data, 0, region)
    monkeypatch.setattr(triton_digest, "MOST_SIZE", 32)
    assert on_triton(data, 0, region) == whole
    assert len(list(triton_digest._parts(0, 0, region.axes()[1]))) > 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_model_on_the_gpu_has_the_number_of_the_host() -> None:
    generator = torch.Generator().manual_seed(0)
    tensors = {
        str(dtype): torch.randint(0, 256, (64, 48), dtype=torch.uint8, generator=generator)
        .view(dtype)
        .t()
        for dtype in (torch.float32, torch.bfloat16, torch.float8_e4m3fn, torch.complex128)
    }
    tensors["conjugate"] = tensors["torch.complex128"].conj()
    moved = {name: tensor.cuda() for name, tensor in tensors.items()}
    assert fingerprint(moved) == fingerprint(tensors)
