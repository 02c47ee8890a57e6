"""Record fingerprints of tensors given by their bits, from the plain-integer definition.

    python -m tests.golden.make_fingerprint_vectors > tests/golden/fingerprint.json

Element i of a record holds the bits (i + 1) * PATTERN modulo its width.  Run it only together
with a change of STREAM_VERSION.
"""

from __future__ import annotations

import json
import math
from typing import Any

from tritoninit.digest import Digest, element, header
from tritoninit.stream import STREAM_VERSION

COMMAND = "python -m tests.golden.make_fingerprint_vectors > tests/golden/fingerprint.json"
PATTERN = 0x9E3779B97F4A7C15
# name, dtype, shape, bits of an element, elements of the sum for each of the tensor's
TENSORS = [
    ("layers.0.wq.weight", "float32", (3, 5), 32, 1),
    ("layers.0.wq.weight", "bfloat16", (3, 5), 16, 1),
    ("", "float16", (), 16, 1),
    ("b", "float64", (7,), 64, 1),
    ("c", "complex64", (2, 2), 64, 1),
    ("c", "complex128", (2, 2), 64, 2),
    ("Gewichte.ä", "int8", (4, 1, 2), 8, 1),
    ("f", "float8_e4m3fn", (5,), 8, 1),
    ("empty", "float32", (0, 3), 32, 1),
]
MODEL = (0, 2, 3, 4)  # records that are also summed as one model


def bits(index: int, width: int) -> int:
    """What element ``index`` holds."""
    return (index + 1) * PATTERN % 2**width


def record(name: str, dtype: str, shape: tuple[int, ...], width: int, per: int) -> dict[str, Any]:
    key, total = header(name, dtype, shape)
    for index in range(math.prod(shape) * per):
        total += element(key, index, bits(index, width))
    return {"name": name, "dtype": dtype, "shape": shape, "key": f"{key:016x}", "sum": str(total)}


def document() -> dict[str, Any]:
    records = [record(*tensor) for tensor in TENSORS]
    chosen = (records[i]["sum"] for i in MODEL)
    model = sum((Digest(int(n[:16], 16), int(n[16:], 16)) for n in chosen), Digest())
    return {
        "source": "tritoninit: plain-integer words",
        "command": COMMAND,
        "stream_version": STREAM_VERSION,
        "pattern": f"{PATTERN:016x}",
        "records": records,
        "model": {"records": MODEL, "sum": str(model)},
    }


if __name__ == "__main__":
    print(json.dumps(document(), indent=1))
