"""One body for every backend: oracle = numpy = numba = Triton, bit for bit."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest

from tests.conformance import exact
from tests.conformance.backends import AVAILABLE, GUARD, run, untouched
from tests.conformance.cases import CASES, DTYPES, KEY, Case, indices
from tests.conformance.shards import SHARDS
from tritoninit.recipe import Eye, Normal, Recipe, Sparse, TruncNormal, Uniform
from tritoninit.region import Region
from tritoninit.sampler import DType, lower
from tritoninit.stream import Key

RECIPES: dict[str, Recipe] = {
    "uniform": Uniform(-1.25, 2.0),
    "uniform at its bound": Uniform(1.0, 2.0),
    "normal": Normal(0.5, 0.02),
    "truncated at 2": TruncNormal(0.0, 1.0, -2.0, 2.0),
    "truncated, narrow": TruncNormal(0.1, 1.0, -0.001, 0.2),
    "truncated at 3": TruncNormal(0.0, 0.02, -0.06, 0.06),
    "truncated on both sides": TruncNormal(0.0, 1.0, -4.0, 1.0),
    "truncated far above": TruncNormal(0.0, 1.0, 3.0, 5.0),
    "truncated far below": TruncNormal(0.0, 1.0, -math.inf, -8.0),
    "truncated out of reach": TruncNormal(0.0, 0.02, -2.0, 2.0),
}
# Bounds with no word below the mean, all but one, most, and as many as above.
SIDES = [(-1e-12, 4.0), (-4.0, 1e-12), (-math.inf, 0.5), (-6.5, 6.5)]


def bits_of(value: float, dtype: DType) -> int:
    """The stored bits of a value of the dtype."""
    if dtype is DType.FLOAT64:
        return int(np.float64(value).view(np.int64))
    if dtype is DType.FLOAT16:
        return int(np.float16(value).view(np.int16))
    single = np.float32(value)
    return (
        int(single.view(np.int32)) if dtype is DType.FLOAT32 else int(single.view(np.int32) >> 16)
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.value)
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
@pytest.mark.parametrize("name", AVAILABLE)
def test_samples_equal_exact_rational_arithmetic(name: str, recipe: Recipe, dtype: DType) -> None:
    check_exact(name, recipe, dtype)


@pytest.mark.parametrize(("low", "high"), SIDES, ids=str)
@pytest.mark.parametrize("name", AVAILABLE)
def test_words_on_the_sides_of_the_mean(name: str, low: float, high: float) -> None:
    check_exact(name, TruncNormal(0.0, 1.0, low, high), DType.FLOAT32)


def check_exact(name: str, recipe: Recipe, dtype: DType) -> None:
    """Elements at both ends of a run are those of exact arithmetic."""
    case = CASES["starts in a block"]
    buffer = run(name, recipe, case.region, case.shape, case.key, dtype)
    sampler = lower(recipe, case.shape, dtype)
    index, place = indices(case)
    for i in [*range(12), *range(len(index) - 12, len(index))]:
        expected = exact.stored(exact.element(case.key, int(index[i]), sampler, dtype), dtype)
        assert buffer[place[i]] == bits_of(expected, dtype), f"element {index[i]}"


def check_layout(name: str, recipe: Recipe, case: Case, dtype: DType) -> None:
    """Every element is the flat stream's, and nothing else was written."""
    buffer = run(name, recipe, case.region, case.shape, case.key, dtype, case.shift)
    index, place = indices(case)
    written = np.zeros(buffer.size, bool)
    written[place] = True
    assert (buffer[~written] == np.array(untouched(dtype)).astype(buffer.dtype)).all()
    assert (buffer[place] == reference(recipe, case.key, dtype, index)).all()


def reference(recipe: Recipe, key: Key, dtype: DType, index: np.ndarray) -> np.ndarray:
    """The bits of these elements from numpy's flat runs; gaps of 2**12 elements part the runs."""
    order = np.sort(index)
    edges = np.flatnonzero(np.diff(order) > 1 << 12) + 1
    found = []
    for piece in np.split(order, edges) if index.size else []:
        low, high = int(piece[0]), int(piece[-1]) + 1
        flat = Region.flat_run(high, low, high - low)
        bits = run("numpy", recipe, flat, (high,), key, dtype)[GUARD - 8 :]
        found.append(bits[piece - low])
    sorted_bits = np.concatenate(found) if found else np.empty(0, np.int64)
    return sorted_bits[np.argsort(np.argsort(index, kind="stable"), kind="stable")]


@pytest.mark.parametrize("label", CASES)
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.value)
@pytest.mark.parametrize("name", AVAILABLE)
def test_every_layout_holds_the_elements_of_the_flat_stream(
    name: str, dtype: DType, label: str
) -> None:
    check_layout(name, RECIPES["normal"], CASES[label], dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.value)
@pytest.mark.parametrize("name", AVAILABLE)
def test_every_shard_holds_the_elements_of_the_flat_stream(name: str, dtype: DType) -> None:
    for number, (label, case) in enumerate(SHARDS.items()):
        recipe = RECIPES["normal" if number % 2 else "uniform"]
        try:
            check_layout(name, recipe, case, dtype)
        except AssertionError as reason:
            raise AssertionError(f"{label}: {case}") from reason


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.value)
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
@pytest.mark.parametrize("name", [name for name in AVAILABLE if name != "numpy"])
def test_backends_agree_on_every_distribution(name: str, recipe: Recipe, dtype: DType) -> None:
    for case in (*(CASES[n] for n in ("odd size", "transposed", "columns")), SHARDS["conv on 1"]):
        arguments = (recipe, case.region, case.shape, case.key, dtype, case.shift)
        assert (run(name, *arguments) == run("numpy", *arguments)).all(), case


@pytest.mark.skipif("triton" not in AVAILABLE, reason="of the Triton launches")
@pytest.mark.parametrize("module", ["triton_", "parts"])
def test_launches_of_huge_regions(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """64-bit places, and launches split at 2**31 slots, at sizes that a test can hold."""
    region, shape = SHARDS["both"].region, SHARDS["both"].shape
    patterns = (Sparse(0.4, 1.0), Eye())
    small = [run("triton", recipe, region, shape, KEY, DType.FLOAT32) for recipe in patterns]
    limited = importlib.import_module(f"tritoninit.backends.{module}")
    monkeypatch.setattr(limited, "LIMIT", 64)
    for label in ("both", "padded five", "transposed conv", "shard 1, 63 wide", "odd offset"):
        check_layout("triton", RECIPES["normal"], SHARDS[label], DType.BFLOAT16)
    for label in ("padded five", "odd offset"):
        check_layout("triton", RECIPES["normal"], SHARDS[label], DType.FLOAT64)
    for recipe, expected in zip(patterns, small, strict=True):
        found = run("triton", recipe, region, shape, KEY, DType.FLOAT32)
        assert (found == expected).all()
