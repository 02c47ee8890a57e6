"""The fingerprint against recorded numbers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tritoninit import STREAM_VERSION, fingerprint
from tritoninit.digest import header

STORED = json.loads((Path(__file__).parent / "fingerprint.json").read_text())
PATTERN = int(STORED["pattern"], 16)


def tensor_of(record: dict[str, Any]) -> Tensor:
    """The tensor with the record's bits."""
    dtype = getattr(torch, record["dtype"])
    size = min(dtype.itemsize, 8)
    count = math.prod(record["shape"]) * (dtype.itemsize // size)
    words = [(i + 1) * PATTERN % 2 ** (8 * size) for i in range(count)]
    data = b"".join(word.to_bytes(size, "little") for word in words)
    flat = torch.tensor(list(data), dtype=torch.uint8)
    return flat.view(dtype).view(record["shape"])


@pytest.mark.parametrize("record", STORED["records"], ids=lambda r: f"{r['name']}-{r['dtype']}")
def test_recorded_numbers(record: dict[str, Any]) -> None:
    found = header(record["name"], record["dtype"], tuple(record["shape"]))
    assert f"{found.key:016x}" == record["key"]
    assert fingerprint({record["name"]: tensor_of(record)}) == record["sum"]


def test_the_recorded_model() -> None:
    chosen = [STORED["records"][i] for i in STORED["model"]["records"]]
    model = {record["name"]: tensor_of(record) for record in chosen}
    assert fingerprint(model) == STORED["model"]["sum"]


def test_the_stream_version_is_the_recorded_one() -> None:
    assert STORED["stream_version"] == STREAM_VERSION, f"make new vectors: {STORED['command']}"
