"""Recorded vectors: Random123's, torch.func._random's, and this project's own stream."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tritoninit import recipe as recipes
from tritoninit.backends.host import HostBackend, fill
from tritoninit.backends.numba_ import NumbaBackend
from tritoninit.backends.numpy_ import NumpyBackend
from tritoninit.recipe import Normal, Recipe, Uniform
from tritoninit.region import Region
from tritoninit.sampler import DType, lower
from tritoninit.stream import STREAM_VERSION, Key, philox4x32

HERE = Path(__file__).parent
STORED = {"float32": np.float32, "float64": np.float64, "bfloat16": np.uint16, "float16": np.uint16}
BITS = {"float32": np.uint32, "float64": np.uint64, "bfloat16": np.uint16, "float16": np.uint16}

# torch's normals use the C library's logarithm, sine and cosine.  Measured over 2**22 float32
# elements: at most 2.4e-6 apart where the radius is at least 1/8; over 2**20 float64 elements: at
# most 2.1e-12, where the radius is small, because torch takes 53 bits for it and this stream 52.
NORMAL_TOLERANCE = {"float32": 3e-6, "float64": 5e-12}


def load(name: str) -> Any:
    return json.loads((HERE / name).read_text())


RANDOM123 = load("random123.json")
TORCH = load("torch_func_random.json")
STREAM = load("stream.json")

backends = pytest.mark.parametrize(
    "backend", [NumpyBackend(), NumbaBackend()], ids=lambda b: b.name
)


def drawn(
    backend: HostBackend, recipe: Recipe, dtype: str, key: Key, first: int, count: int
) -> Any:
    """Elements [first, first + count) of a long vector, as bits."""
    out = np.full(count, 0xAA, dtype=STORED[dtype])
    region = Region.flat_run(first + count, first, count)
    fill(backend, out, region, (first + count,), recipe, key, DType(dtype), 1)
    return out.view(BITS[dtype])


def unhex(values: list[str], dtype: str) -> Any:
    return np.array([int(value, 16) for value in values], dtype=BITS[dtype])


@pytest.mark.parametrize("vector", RANDOM123["vectors"])
def test_philox_known_answers(vector: dict[str, list[str]]) -> None:
    c0, c1, c2, c3 = (int(word, 16) for word in vector["counter"])
    k0, k1 = (int(word, 16) for word in vector["key"])
    words = philox4x32((c0, c1, c2, c3), (k0, k1))
    assert [f"{word:08x}" for word in words] == vector["words"]


@pytest.mark.parametrize("record", TORCH["keys"], ids=lambda r: str(r["key"]))
def test_keys_are_torchs(record: dict[str, Any]) -> None:
    key = Key(*record["key"])
    assert [[child.seed, child.offset] for child in key.split(5)] == record["split"]
    for data, child in record["fold_in"]:
        derived = key.fold_in(data)
        assert [derived.seed, derived.offset] == child, data


@backends
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("record", TORCH["keys"], ids=lambda r: str(r["key"]))
def test_uniform_is_torchs(record: dict[str, Any], dtype: str, backend: HostBackend) -> None:
    expected = unhex(record[f"uniform_{dtype}"], dtype)
    got = drawn(backend, Uniform(0.0, 1.0), dtype, Key(*record["key"]), 0, expected.size)
    np.testing.assert_array_equal(got, expected)


@backends
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("record", TORCH["keys"], ids=lambda r: str(r["key"]))
def test_normal_is_near_torchs(record: dict[str, Any], dtype: str, backend: HostBackend) -> None:
    expected = unhex(record[f"normal_{dtype}"], dtype).view(STORED[dtype])
    bits = drawn(backend, Normal(0.0, 1.0), dtype, Key(*record["key"]), 0, expected.size)
    difference = np.abs(bits.view(STORED[dtype]).astype(np.float64) - expected)
    assert difference.max() < NORMAL_TOLERANCE[dtype]


def named(description: list[str]) -> Recipe:
    name, *arguments = description
    recipe: Recipe = getattr(recipes, name)(*map(float.fromhex, arguments))
    return recipe


def test_stream_version_is_the_recorded_one() -> None:
    assert STREAM["stream_version"] == STREAM_VERSION, (
        "STREAM_VERSION and tests/golden/stream.json disagree; a new version needs new vectors:"
        f" {STREAM['command']}"
    )


def test_every_sampler_is_recorded() -> None:
    """A sampler kind that has no vectors could change unnoticed."""
    from tritoninit.backends.numpy_ import FOUR, TWO

    recorded = {(r["kind"], r["dtype"]) for r in STREAM["records"]}
    single = {(kind, dtype) for kind in FOUR for dtype in ("float32", "bfloat16", "float16")}
    assert recorded == single | {(kind, "float64") for kind in TWO}


@backends
def test_words(backend: HostBackend) -> None:
    for (seed, offset, first), expected in zip(STREAM["places"], STREAM["words"], strict=True):
        key = Key(seed, offset)
        assert [f"{key.word(first + i):08x}" for i in range(len(expected))] == expected
        words = backend.words(key, first, len(expected), 1, 0)[0]
        assert [f"{word:08x}" for word in words] == expected


@pytest.mark.parametrize("record", STREAM["records"], ids=lambda r: f"{r['recipe']}-{r['dtype']}")
def test_host_constants(record: dict[str, Any]) -> None:
    sampler = lower(named(record["recipe"]), (1,), DType(record["dtype"]))
    assert sampler.kind == record["kind"]
    assert [float(value).hex() for value in sampler.params] == record["params"]


@backends
@pytest.mark.parametrize("record", STREAM["records"], ids=lambda r: f"{r['recipe']}-{r['dtype']}")
def test_values(record: dict[str, Any], backend: HostBackend) -> None:
    recipe, dtype = named(record["recipe"]), record["dtype"]
    for (seed, offset, first), values in zip(STREAM["places"], record["values"], strict=True):
        expected = unhex(values, dtype)
        got = drawn(backend, recipe, dtype, Key(seed, offset), first, expected.size)
        np.testing.assert_array_equal(got, expected)


@backends
def test_sparse_zeros(backend: HostBackend) -> None:
    stored = STREAM["sparse"]
    rows, columns = stored["shape"]
    for (seed, offset, _), zeros in zip(STREAM["places"], stored["zeros"], strict=True):
        out = np.empty(rows * columns, dtype=np.float32)
        region = Region.whole((rows, columns), (columns, 1))
        recipe = named(stored["recipe"])
        fill(backend, out, region, (rows, columns), recipe, Key(seed, offset), DType.FLOAT32, 1)
        assert np.flatnonzero(out == 0).tolist() == zeros
