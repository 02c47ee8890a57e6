"""A third implementation, written from STREAM.md alone, agrees with the recorded stream."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.golden import third, third64, third_matrix, third_truncated
from tritoninit import Key, init

STREAM = json.loads((Path(__file__).parent / "stream.json").read_text())
RECORDS = STREAM["records"]


def stored(value: float, dtype: str) -> str:
    """The bits of a value, rounded to the dtype."""
    if dtype == "float64":
        return struct.pack(">d", value).hex()
    rounded = third.rounded(value, *third.FORMATS[dtype])
    if dtype == "float16":
        return struct.pack(">e", rounded).hex()
    return struct.pack(">f", rounded).hex()[: 4 if dtype == "bfloat16" else 8]


def law(record: dict[str, Any]) -> Any:
    name, *arguments = record["recipe"]
    values = [float.fromhex(argument) for argument in arguments]
    double = record["dtype"] == "float64"
    if name == "TruncNormal" and double:
        return third64.trunc_normal(*values)
    if name == "TruncNormal":
        return third_truncated.trunc_normal(*values, record["dtype"])
    function = getattr(third64 if double else third, name.lower())
    return lambda key, i: function(key, i, *values)


@pytest.mark.parametrize(
    "record", RECORDS, ids=lambda record: f"{record['kind']}-{record['dtype']}"
)
def test_every_distribution(record: dict[str, Any]) -> None:
    element = law(record)
    for (seed, offset, first), values in zip(STREAM["places"], record["values"], strict=True):
        found = [element((seed, offset), first + i) for i in range(len(values))]
        assert [stored(value, record["dtype"]) for value in found] == values


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
def test_keys(seed: int) -> None:
    key = Key(seed).fold_in("layers.0.wq.weight").fold_in(1)
    again = third.fold_in(third.fold_in((seed, 0), "layers.0.wq.weight"), 1)
    assert again == (key.seed, key.offset)


def test_sparse() -> None:
    found = third.sparse((5, 9), 11, 4, 0.3, 0.5)
    expected = init.sparse_(torch.empty(11, 4), 0.3, 0.5, generator=Key(5, 9))
    assert found == expected.flatten().tolist()


def test_long_runs() -> None:
    """More of the laws that take one word, and of the normal."""
    key, count = Key(3).fold_in("w"), 3000
    pair = key.seed, key.offset
    for found, expected in (
        (
            lambda i: third.normal(pair, i, 0.25, 3.0),
            init.normal_(torch.empty(count), 0.25, 3.0, generator=key),
        ),
        (
            lambda i: third.uniform(pair, i, -0.3, 0.7),
            init.uniform_(torch.empty(count), -0.3, 0.7, generator=key),
        ),
        *(
            (
                (lambda element: lambda i: element(pair, i))(
                    third_truncated.trunc_normal(0.0, 1.0, a, b, "float32")
                ),
                init.trunc_normal_(torch.empty(count), 0.0, 1.0, a, b, generator=key),
            )
            for a, b in ((-2.0, 2.0), (-3.0, 3.0), (0.5, 9.0), (-5.0, 4.0))
        ),
    ):
        assert [found(i) for i in range(count)] == expected.tolist()


def test_long_runs_of_float64() -> None:
    key, count = Key(3).fold_in("w"), 600
    pair = key.seed, key.offset

    def expected(name: str, *arguments: float) -> list[float]:
        tensor = torch.empty(count, dtype=torch.float64)
        values: list[float] = getattr(init, name)(tensor, *arguments, generator=key).tolist()
        return values

    for name, law, arguments in (
        ("normal_", third64.normal, (0.25, 3.0)),
        ("uniform_", third64.uniform, (-0.3, 0.7)),
    ):
        found = [law(pair, i, *arguments) for i in range(count)]
        assert found == expected(name, *arguments)
    for arguments in ((0.0, 1.0, -5.0, 4.0), (0.5, 2.0, 1.0, math.inf)):
        element = third64.trunc_normal(*arguments)
        found = [element(pair, i) for i in range(count)]
        assert found == expected("trunc_normal_", *arguments)


@pytest.mark.parametrize(
    ("dtype", "module"), [(torch.complex64, third), (torch.complex128, third64)], ids=["64", "128"]
)
def test_complex(dtype: torch.dtype, module: Any) -> None:
    expected = init.normal_(torch.empty(150, dtype=dtype), 0.25, 2.0, generator=Key(5, 9))
    normal = third_matrix.complex_normal
    found = [normal((5, 9), i, 0.25, 2.0, module.normal) for i in range(150)]
    assert found == expected.tolist()
    sparse = init.sparse_(torch.empty(11, 4, dtype=dtype), 0.3, 0.5, generator=Key(5, 9))
    real = third.sparse((5, 9), 11, 4, 0.3, 0.5)
    for i, value in enumerate(sparse.flatten().tolist()):
        assert value == (normal((5, 9), i, 0.0, 0.5, module.normal) if real[i] else 0)


@pytest.mark.parametrize("shape", [(7, 7), (9, 4), (4, 9), (3, 2, 4), (1, 5), (24, 24)], ids=str)
@pytest.mark.parametrize("gain", [1.0, -0.7])
def test_orthogonal(shape: tuple[int, ...], gain: float) -> None:
    """To 2**-48 of the gain, and after rounding to one float32 ulp where that is more."""
    rows, columns = shape[0], math.prod(shape[1:])
    found = torch.tensor(
        third_matrix.orthogonal((5, 9), rows, columns, gain), dtype=torch.float64
    ).reshape(shape)
    double = init.orthogonal_(torch.empty(shape, dtype=torch.float64), gain, generator=Key(5, 9))
    assert (found - double).abs().max() <= abs(gain) * 2.0**-48
    single = init.orthogonal_(torch.empty(shape), gain, generator=Key(5, 9))
    allowed = np.maximum(np.spacing(np.abs(single.numpy())), abs(gain) * 2.0**-48)
    assert (np.abs(found.float().double().numpy() - single.double().numpy()) <= allowed).all()
