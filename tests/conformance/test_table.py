"""Many fills in one launch: the bits of as many single fills, and nothing else written."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch

from tests.conformance.backends import AVAILABLE, GUARD, PATTERN, TORCH
from tests.conformance.cases import DTYPES, KEY
from tests.conformance.test_patterns import expected_pattern
from tests.conformance.test_samples import RECIPES, reference
from tritoninit.recipe import Dirac, Eye, Recipe, Uniform
from tritoninit.sampler import DType, lower
from tritoninit.stream import Key

if "triton" not in AVAILABLE:
    pytest.skip("Triton is not installed", allow_module_level=True)

from tritoninit.backends.triton_table import Batch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Part(NamedTuple):
    """``length`` elements from ``first`` on, ``shift`` elements behind a 16-byte boundary."""

    length: int
    first: int = 0
    key: Key = KEY
    shift: int = 0


PARTS = [
    Part(0),
    Part(1),
    Part(3, key=Key(1)),
    Part(4095),
    Part(0, 8),
    Part(4096, 4096),
    Part(4097, key=Key(2**64 - 1, 3)),
    Part(9001, 2**35 + 8),
    Part(20, 5, shift=5),  # aligned in the stream, not in memory
    Part(4099, 7),
    Part(5003, shift=1),
    Part(8193, 6, shift=2),
    Part(40, 4, shift=4),
]
FEW = [Part(5003, 16), Part(70, 5), Part(9, 3, Key(1), 3)]
CARRIES = [
    Part(9001, key=Key(7, 2**32 - 1000)),
    Part(9001, 13, Key(7, 2**32 - 1003), 5),
    Part(9001, key=Key(2**64 - 1, 2**64 - 9)),
    Part(61, 3, Key(1, 2**33 - 5)),
    Part(4001, 12, Key(1, 5 * 2**32 - 7), 4),
]


def storage_of(rows: int, width: int, dtype: torch.dtype) -> torch.Tensor:
    """[rows, at least width] elements that nobody wrote; every row begins at 16 bytes."""
    width += -width % 64
    size = (rows, width * dtype.itemsize)
    storage = torch.full(size, PATTERN, dtype=torch.uint8, device=DEVICE).view(dtype)
    assert storage.data_ptr() % 16 == 0
    return storage


def filled(parts: list[Part], dtype: DType, recipes: list[Recipe]) -> np.ndarray:
    """[parts, elements] bits after one batch: GUARD elements, the part, and what follows."""
    kind, bits = TORCH[dtype]
    width = max(part.length + part.shift for part in parts) + 2 * GUARD
    storage = storage_of(len(parts), width, kind)
    batch = Batch()
    for row, part in enumerate(parts):
        out = storage[row, GUARD + part.shift :]
        sampler = lower(recipes[row % len(recipes)], (), dtype)
        batch.add(out.data_ptr(), part.first, part.length, part.key, sampler, dtype)
    batch.launch(DEVICE)
    return storage.view(bits).cpu().numpy()


def check(parts: list[Part], dtype: DType, *recipes: Recipe) -> None:
    found = filled(parts, dtype, list(recipes))
    untouched = np.int64(int.from_bytes(bytes([PATTERN]) * dtype.itemsize, "little"))
    for row, part in enumerate(parts):
        begin = GUARD + part.shift
        index = np.arange(part.first, part.first + part.length)
        expected = reference(recipes[row % len(recipes)], part.key, dtype, index)
        assert (found[row, begin : begin + part.length] == expected).all(), part
        assert (found[row, :begin] == untouched).all(), part
        assert (found[row, begin + part.length :] == untouched).all(), part


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.value)
@pytest.mark.parametrize("label", ["uniform", "normal"])
def test_a_table_holds_the_bits_of_single_fills(label: str, dtype: DType) -> None:
    check(PARTS, dtype, RECIPES[label])


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.value)
@pytest.mark.parametrize("label", RECIPES)
def test_tables_of_every_distribution(label: str, dtype: DType) -> None:
    check(FEW, dtype, RECIPES[label])


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.value)
def test_runs_whose_counters_cross_2_to_the_32(dtype: DType) -> None:
    check(CARRIES, dtype, RECIPES["normal"])


def test_every_run_has_constants_of_its_own() -> None:
    check([Part(70, n) for n in range(9)], DType.FLOAT32, Uniform(0, 1), Uniform(-3, 5))


def test_a_batch_begins_anew_when_it_was_launched() -> None:
    storage = storage_of(1, 64, torch.float32)
    batch = Batch()
    sampler = lower(RECIPES["normal"], (), DType.FLOAT32)
    batch.add(storage.data_ptr(), 0, 64, KEY, sampler, DType.FLOAT32)
    batch.launch(DEVICE)
    expected = storage.clone()
    storage.zero_()
    batch.launch(DEVICE)
    assert not storage.any()
    batch.add(storage.data_ptr(), 0, 64, KEY, sampler, DType.FLOAT32)
    batch.launch(DEVICE)
    assert torch.equal(storage, expected)


@pytest.mark.parametrize("itemsize", [1, 2, 4, 8])
def test_constants_of_every_width(itemsize: int) -> None:
    dtype = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[itemsize]
    tile = 16384 // itemsize
    lengths = [0, 1, 3, 17, tile - 1, tile, tile + 1, 3 * tile + 5, 5]
    storage = storage_of(len(lengths), max(lengths) + 2 * GUARD + 9, dtype)
    batch = Batch()
    bits = [0x8182838485868788 + n & 2 ** (8 * itemsize) - 1 for n in range(len(lengths))]
    expected = storage.cpu().numpy().copy()
    for row, length in enumerate(lengths):
        begin = GUARD + row
        batch.add_constant(storage[row, begin:].data_ptr(), length, itemsize, bits[row])
        value = np.array(bits[row], dtype=f"u{itemsize}").astype(expected.dtype)
        expected[row, begin : begin + length] = value
    batch.launch(DEVICE)
    assert (storage.cpu().numpy() == expected).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.value)
def test_diagonals(dtype: DType) -> None:
    patterns = [(Eye(), (37, 23)), (Dirac(1), (12, 7, 5)), (Dirac(5), (10, 6, 2, 3, 5))]
    kind = TORCH[dtype][0]
    storage = storage_of(9, 2000 + 2 * GUARD, kind)
    expected = storage.clone()
    batch = Batch()
    for row in range(9):
        recipe, shape = patterns[row % 3]
        whole = expected_pattern(recipe, shape).to(storage).reshape(-1)
        first, begin = row * 7, GUARD + (row * 5) % 9
        length = whole.numel() - first - row
        sampler = lower(recipe, shape, dtype)
        batch.add(storage[row, begin:].data_ptr(), first, length, KEY, sampler, dtype)
        expected[row, begin : begin + length] = whole[first : first + length]
    batch.launch(DEVICE)
    assert torch.equal(storage.view(TORCH[dtype][1]), expected.view(TORCH[dtype][1]))
