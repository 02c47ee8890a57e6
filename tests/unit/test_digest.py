"""The digest of memory: oracle = numpy = numba, whatever the layout and the threads."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tritoninit.backends.digest import digest
from tritoninit.backends.host import HostBackend
from tritoninit.backends.numba_ import NumbaBackend
from tritoninit.backends.numpy_ import BLOCKS, NumpyBackend
from tritoninit.backends.threads import PARALLEL, SHARES
from tritoninit.digest import Digest, element, header
from tritoninit.names import canonical_name
from tritoninit.region import Region, row_major

KEY = 0xFEDCBA9876543210
backends = pytest.mark.parametrize(
    "backend", [NumpyBackend(), NumbaBackend()], ids=lambda b: b.name
)
dtypes = pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])


def box(
    shape: tuple[int, ...], offset: tuple[int, ...], sizes: tuple[int, ...], *strides: int
) -> Region:
    return Region(shape, offset, sizes, strides or row_major(sizes))


REGIONS = {
    "no dimension": Region.whole((), ()),
    "one": Region.whole((1,), (1,)),
    "empty": Region.whole((3, 0), (1, 1)),
    "contiguous": Region.whole((7, 21), (21, 1)),
    "transposed": Region.whole((7, 21), (1, 7)),
    "every third": Region.flat_run(999, 5, 100, 3),
    "beyond 2**32": Region.flat_run(2**40, 2**35 + 5, 99),
    "across 2**32": Region.flat_run(2**33, 2**32 - 50, 99),
    "columns": box((9, 50), (0, 13), (9, 17)),
    "few columns": box((90, 5), (0, 1), (90, 2)),
    "a strided box": box((9, 8, 10, 12), (2, 1, 3, 5), (4, 2, 3, 3), 1, 40, 12, 4),
    "expanded": Region.whole((20, 6), (0, 1)),
    "all one memory": Region.whole((4, 5), (0, 0)),
}


def data_of(region: Region, dtype: type) -> np.ndarray:
    """Random bits, among them the greatest value."""
    top = np.iinfo(dtype).max
    data = np.random.default_rng(1).integers(0, top, region.extent, dtype, endpoint=True)
    data[-1:] = top
    return data


def expected(data: np.ndarray, region: Region) -> Digest:
    """Element by element, in plain integers."""
    steps = row_major(region.global_shape)
    total = Digest()
    for place in np.ndindex(*region.sizes):
        at = sum(i * s for i, s in zip(place, region.strides, strict=True))
        corner = zip(place, region.offset, steps, strict=True)
        total += element(KEY, sum((i + o) * s for i, o, s in corner), int(data[at]))
    return total


@backends
@dtypes
@pytest.mark.parametrize("label", REGIONS)
def test_every_layout_equals_the_oracle(label: str, dtype: type, backend: HostBackend) -> None:
    region = REGIONS[label]
    data = data_of(region, dtype)
    before = data.copy()
    assert digest(backend, data, region, KEY, 2) == expected(data, region)
    assert (data == before).all()


@backends
def test_chunks_and_threads_do_not_show(backend: HostBackend) -> None:
    size = 3 * BLOCKS + 5 if backend.name == "numpy" else SHARES * PARALLEL + 65
    data = data_of(Region.whole((size,), (1,)), np.uint16)
    whole = Region.whole((size,), (1,))
    reference = digest(backend, data, whole, KEY, 1)
    assert digest(backend, data, whole, KEY, 3) == reference
    cut = size // 2 + 1
    parts = (Region.flat_run(size, 0, cut), Region.flat_run(size, cut, size - cut))
    sums = (digest(backend, data[part.offset[0] :], part, KEY, 2) for part in parts)
    assert sum(sums, Digest()) == reference
    rows = Region.whole((5, size // 5), (size // 5, 1))
    flipped = Region.whole((size // 5, 5), (1, size // 5))
    turned = data[: 5 * (size // 5)].reshape(5, -1).T.reshape(-1)
    assert digest(backend, turned, Region.whole((5, size // 5), (1, 5)), KEY, 2) == digest(
        backend, data, rows, KEY, 2
    )
    assert digest(backend, data, flipped, KEY, 2) != digest(backend, data, rows, KEY, 2)


def test_the_header_is_unambiguous() -> None:
    """No two of these may be hashed from the same bytes."""
    texts = ("", "a", "afloat32", "float32")
    shapes = ((), (0,), (1,), (1, 1), (2**40,), (0, 0))
    headers = [header(n, d, s) for n in texts for d in texts for s in shapes]
    assert len({h.key for h in headers}) == len({h.share for h in headers}) == len(headers)


def test_axes_are_in_the_order_of_memory() -> None:
    for region in REGIONS.values():
        first, axes = region.axes()
        assert [a.local for a in axes] == sorted((a.local for a in axes), reverse=True)
        assert first == region.spans().first
        assert math.prod(a.size for a in axes) == region.numel or not region.numel


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("weight", "weight"),
        ("_orig_mod.layers.0.weight", "layers.0.weight"),
        ("a._fsdp_wrapped_module._checkpoint_wrapped_module.b.weight", "a.b.weight"),
        ("_fsdp_wrapped_module_.weight", "_fsdp_wrapped_module_.weight"),
        ("block._orig_mod", "block._orig_mod"),
    ],
)
def test_canonical_names(name: str, canonical: str) -> None:
    assert canonical_name(name) == canonical
