"""Calls of the public initializers whose fingerprints are recorded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor

from tritoninit import Key, init
from tritoninit.backends.numpy_ import NumpyBackend

KEY = Key(20261124).fold_in("layers.0.wq.weight")
MATRIX, CONV = (37, 45), (6, 4, 3, 5)
DTYPES = ("float32", "bfloat16", "float16", "float64")
COMPLEX = ("complex64", "complex128")
# global_shape and global_offset of a part, and its own shape: a box, and a flat run
PARTS: dict[str, tuple[tuple[int, ...], Any, tuple[int, ...]]] = {
    "whole": (MATRIX, (0, 0), MATRIX),
    "box": (MATRIX, (5, 9), (11, 30)),
    "run": (MATRIX, 1001, (333,)),
    "beyond 2**32": ((2**20, 2**20), (2**13 + 1, 7), (3, 500)),
}


class Call(NamedTuple):
    """An initializer, its arguments, the dtype, and the part of the tensor that is filled."""

    name: str
    arguments: dict[str, Any]
    dtype: str
    part: str

    def __str__(self) -> str:
        arguments = ",".join(f"{name}={value}" for name, value in self.arguments.items())
        return f"{self.name}({arguments})-{self.dtype}-{self.part}"

    def fill(self, make: Callable[[tuple[int, ...], torch.dtype], Tensor]) -> Tensor:
        """A tensor of ``make`` with the call's values."""
        dtype = getattr(torch, self.dtype)
        given = dict(self.arguments)
        if self.name not in ("eye_", "dirac_", "constant_"):
            given["generator"] = KEY
        if self.part == "conv":
            tensor = make(CONV, dtype)
        else:
            shape, offset, sizes = PARTS[self.part]
            tensor = make(sizes, dtype)
            if self.part != "whole":
                given |= {"global_shape": shape, "global_offset": offset}
        result: Tensor = getattr(init, self.name)(tensor, **given)
        return result


@contextmanager
def numpy_alone() -> Iterator[None]:
    """CPU tensors take the numpy backend, as where numba is not installed."""
    with ExitStack() as stack:
        stack.enter_context(patch("tritoninit.fill.host_backend", NumpyBackend))
        for module in ("tritoninit.fill", "tritoninit.init.call"):
            stack.enter_context(patch(f"{module}.fill_at_once", lambda *_: False))
        yield


def calls() -> Iterator[Call]:
    """Every recorded call."""
    parts: list[tuple[str, dict[str, Any]]] = [
        ("uniform_", {"a": -1.0, "b": 2.0}),
        ("normal_", {"mean": 0.5, "std": 0.02}),
        ("trunc_normal_", {"std": 0.02}),
        ("trunc_normal_", {"a": -2.0, "b": 2.0}),
        ("trunc_normal_", {"a": -3.0, "b": 2.5}),
        ("trunc_normal_", {"mean": 0.25, "std": 0.5, "a": -4.0, "b": 1.0}),
        ("trunc_normal_", {"a": 0.0, "b": math.inf}),
        ("trunc_normal_", {"a": 3.0, "b": 5.0}),
        ("trunc_normal_", {"a": -10.0, "b": -8.0}),
        ("xavier_uniform_", {"gain": 1.5}),
        ("kaiming_normal_", {"mode": "fan_out"}),
        ("eye_", {}),
        ("constant_", {"val": 0.1}),
    ]
    for dtype in DTYPES:
        for name, arguments in parts:
            for part in PARTS:
                if part != "run" or name != "eye_":
                    yield Call(name, arguments, dtype, part)
        yield Call("sparse_", {"sparsity": 0.4, "std": 1.0}, dtype, "whole")
        yield Call("sparse_", {"sparsity": 0.4, "std": 1.0}, dtype, "box")
        yield Call("dirac_", {"groups": 2}, dtype, "conv")
        yield Call("kaiming_uniform_", {"a": math.sqrt(5)}, dtype, "conv")
    for dtype in COMPLEX:
        yield Call("normal_", {"std": 2.0}, dtype, "whole")
        yield Call("normal_", {"std": 2.0}, dtype, "box")
