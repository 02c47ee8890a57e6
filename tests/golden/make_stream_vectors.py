"""Record elements of tritoninit's own stream, one record for each sampler and dtype.

    python -m tests.golden.make_stream_vectors > tests/golden/stream.json

The words come from the plain-integer oracle (``tritoninit/stream.py``), the samples from the
numpy source of the sampling functions.  Run it only together with a change of STREAM_VERSION.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import fields
from typing import Any

import numpy as np

from tritoninit import sparse
from tritoninit.backends.numpy_ import FOUR, TWO, to_storage
from tritoninit.recipe import Normal, Recipe, Sparse, TruncNormal, Uniform
from tritoninit.sampler import DType, Sampler, lower
from tritoninit.stream import STREAM_VERSION, Key

COMMAND = "python -m tests.golden.make_stream_vectors > tests/golden/stream.json"
COUNT = 11  # elements a record
PLACES = [
    (Key(0), 0),
    (Key(123456789012345).fold_in("layers.0.wq.weight"), 4_000_000_001),
    (Key(-1, 2**64 - 2), 3),  # the block counter wraps
]
RECIPES: list[Recipe] = [
    Uniform(-1.0, 2.0),
    Normal(0.5, 0.02),
    TruncNormal(0.0, 0.02, -2.0, 2.0),
    TruncNormal(0.0, 1.0, -2.0, 2.0),
    TruncNormal(0.0, 1.0, -3.0, 2.5),
    TruncNormal(0.25, 0.5, -4.0, 1.0),
    TruncNormal(0.0, 1.0, 0.0, math.inf),
    TruncNormal(0.0, 1.0, 3.0, 5.0),
    TruncNormal(0.0, 1.0, -10.0, -8.0),
    TruncNormal(0.0, 1.0, 37.0, 38.0),
    TruncNormal(0.0, 1.0, -0.001, 0.001),
]
SPARSE_SHAPE = (7, 5)
SPARSE = Sparse(0.4, 1.0)


def samples(sampler: Sampler, key: Key, first: int, dtype: DType) -> Any:
    """Elements [first, first + COUNT) from the oracle's words, as storage bits."""
    lanes = 2 if dtype.is_double else 4
    functions: dict[str, Any] = TWO if dtype.is_double else FOUR
    scalar = np.float64 if dtype.is_double else np.float32
    params = tuple(scalar(value) for value in sampler.params)
    top, skip = divmod(first, lanes)
    blocks = [key.block(top + i) for i in range(-(-(skip + COUNT) // lanes))]
    words = (np.array(lane, dtype=np.uint64) for lane in zip(*blocks, strict=True))
    values = np.stack(functions[sampler.kind](*words, params), axis=-1).reshape(-1)
    return to_storage(values[skip : skip + COUNT], dtype)


def hexadecimal(values: Any) -> list[str]:
    size = values.itemsize
    return [f"{int(bits):0{2 * size}x}" for bits in values.view(f"u{size}")]


def described(recipe: Recipe) -> list[str]:
    """The recipe's name and its arguments, exact."""
    return [type(recipe).__name__, *(getattr(recipe, f.name).hex() for f in fields(recipe))]


def sampled(recipe: Recipe, dtype: DType) -> dict[str, Any]:
    sampler = lower(recipe, (1,), dtype)
    return {
        "recipe": described(recipe),
        "dtype": dtype.value,
        "kind": sampler.kind,
        "params": [float(value).hex() for value in sampler.params],
        "values": [hexadecimal(samples(sampler, *place, dtype)) for place in PLACES],
    }


def zeroed(key: Key) -> list[int]:
    """The global indices of the zeros: in each column those with the smallest (word, row)."""
    rows, columns = SPARSE_SHAPE
    mask = sparse.mask_key(key)
    indices: list[int] = []
    for column in range(columns):
        ranked = sorted((mask.word(row * columns + column), row) for row in range(rows))
        indices += [row * columns + column for _, row in ranked[: SPARSE.zeros(rows)]]
    return sorted(indices)


def rendered(document: dict[str, Any]) -> str:
    """JSON with one line a field, and one line a field of each record."""
    head = {name: value for name, value in document.items() if name != "records"}
    lines = [f' "{name}": {json.dumps(value)},' for name, value in head.items()]
    records = [
        "  {"
        + ",\n   ".join(f'"{name}": {json.dumps(value)}' for name, value in record.items())
        + "}"
        for record in document["records"]
    ]
    return "\n".join(["{", *lines, ' "records": [', ",\n".join(records), " ]", "}", ""])


def document() -> dict[str, Any]:
    return {
        "source": "tritoninit: plain-integer words, sampling functions on numpy arrays",
        "command": COMMAND,
        "stream_version": STREAM_VERSION,
        "places": [[key.seed, key.offset, first] for key, first in PLACES],
        "words": [[f"{key.word(first + i):08x}" for i in range(COUNT)] for key, first in PLACES],
        "sparse": {
            "shape": SPARSE_SHAPE,
            "recipe": described(SPARSE),
            "zeros": [zeroed(key) for key, _ in PLACES],
        },
        "records": [sampled(recipe, dtype) for recipe in RECIPES for dtype in DType],
    }


if __name__ == "__main__":
    sys.stdout.write(rendered(document()))
