"""A third implementation, written from STREAM.md alone, agrees with the recorded stream."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.golden import third, third_truncated
from tritoninit import Key, init

STREAM = json.loads((Path(__file__).parent / "stream.json").read_text())
RECORDS = [record for record in STREAM["records"] if record["dtype"] != "float64"]


def stored(value: float, dtype: str) -> str:
    """The bits of a float32 value, rounded to the dtype."""
    rounded = third.rounded(value, *third.FORMATS[dtype])
    if dtype == "float16":
        return struct.pack(">e", rounded).hex()
    return struct.pack(">f", rounded).hex()[: 4 if dtype == "bfloat16" else 8]


def law(record: dict[str, Any]) -> Any:
    name, *arguments = record["recipe"]
    values = [float.fromhex(argument) for argument in arguments]
    if name == "TruncNormal":
        return third_truncated.trunc_normal(*values, record["dtype"])
    function = {"Uniform": third.uniform, "Normal": third.normal}[name]
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
