"""README, STREAM.md and the docstrings say what the code does."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import tritoninit
from tritoninit import Key, coefficients, init, names, sampling, stream
from tritoninit.digest import element, header
from tritoninit.init import distributions

ROOT = Path(__file__).parents[2]
STREAM = (ROOT / "tritoninit" / "STREAM.md").read_text()
NAME = "layers.0.wq.weight"


@pytest.mark.parametrize("document", ["README.md", "tritoninit/MOVING.md"])
def test_the_examples_run(document: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(), re.S)
    assert blocks
    for block in blocks:
        exec(compile(block, document, "exec"), {})


@pytest.mark.parametrize("module", [stream, names, distributions], ids=lambda m: m.__name__)
def test_docstring_examples(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted
    assert not result.failed


def hexadecimal(tensor: torch.Tensor) -> str:
    bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.itemsize]
    digits = 2 * tensor.itemsize
    mask = (1 << 8 * tensor.itemsize) - 1
    return " ".join(f"{value & mask:0{digits}x}" for value in tensor.view(bits).tolist())


def row(label: str) -> str:
    """The value of a row of the worked example."""
    match = re.search(rf"^\| {re.escape(label)} \| (.*) \|$", STREAM, re.M)
    assert match, label
    return match.group(1)


def test_the_worked_example() -> None:
    key = Key(0).fold_in(NAME)
    assert row("Key(0).fold_in(d)") == f"seed {key.seed:#x}, offset {key.offset:#x}"
    assert row("block 0") == " ".join(f"{word:08x}" for word in key.block(0))
    single, double = torch.empty(4), torch.empty(2, dtype=torch.float64)
    assert row("float32 elements") == hexadecimal(init.normal_(single, std=0.02, generator=key))
    brain = init.normal_(torch.empty(4, dtype=torch.bfloat16), std=0.02, generator=key)
    assert row("bfloat16 elements") == hexadecimal(brain)
    uniform = hexadecimal(init.uniform_(single, generator=key))
    assert row("uniform_(0, 1) under the same key") == uniform
    truncated = hexadecimal(init.trunc_normal_(single, generator=key))
    assert row("trunc_normal_(0, 1, -2, 2)") == truncated
    assert row("float64 uniform_(0, 1)") == hexadecimal(init.uniform_(double, generator=key))
    assert row("float64 normal_(0, 1)") == hexadecimal(init.normal_(double, generator=key))


def test_the_worked_fingerprint() -> None:
    key, share = header(NAME, "float32", (2,))
    assert row("header") == f"k = {key:#x}, adds {share}"
    for index, bits in enumerate((0x3F800000, 0x80000000)):
        label = f"element {index}, bits {bits:x}, adds"
        assert row(label) == str(element(key, index, bits))
    tensor = torch.tensor([1.0, -0.0])
    assert row("fingerprint") == tritoninit.fingerprint({NAME: tensor})


def test_the_constants_are_those_of_the_code() -> None:
    stated = re.findall(r"`([A-Z_0-9]+)=([0-9a-f]{8})`", STREAM)
    assert len(stated) == 50
    for name, bits in stated:
        if name[0] in "LRSCPQW" and name[1:].isdigit():
            value = getattr(coefficients, name[0])[int(name[1:])]
        else:
            value = getattr(sampling, name)
        assert f"{int(np.float32(value).view(np.uint32)):08x}" == bits, name


def test_the_stream_version_is_stated() -> None:
    assert f"version {tritoninit.STREAM_VERSION}" in STREAM.splitlines()[0]
