"""Record what torch.func._random gives on CPU: an oracle that is not this project's.

Needs torch >= 2.14, which tritoninit does not pin; run it in an environment of its own:

    python -m tests.golden.make_torch_func_random > tests/golden/torch_func_random.json

Floating-point values are stored as hexadecimal bits, keys as [seed, offset].
"""

from __future__ import annotations

import datetime
import json
import platform
import sys
from typing import Any

import torch
import torch.func._random as prng

COMMAND = "python -m tests.golden.make_torch_func_random > tests/golden/torch_func_random.json"
KEYS = [
    (0, 0),
    (42, 0),
    (2**32, 1),
    (123456789012345, 2**32 - 3),
    (2**64 - 1, 2**63),
    (0x299F31D0A4093822, 2**64 - 2),  # the block counter wraps after eight elements
]
COUNT = 22  # elements: five blocks of four lanes and half of a sixth
FOLDS = [0, 1, 2, 1000003, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, -1, -(2**63)]
SPLITS = 5


def make_key(seed: int, offset: int) -> torch.Tensor:
    return torch.tensor([seed, offset], dtype=torch.uint64)


def bits(values: torch.Tensor) -> list[str]:
    size = values.element_size()
    view = values.view({4: torch.uint32, 8: torch.uint64}[size])
    return [f"{value:0{2 * size}x}" for value in view.tolist()]


def record(seed: int, offset: int) -> dict[str, Any]:
    key = make_key(seed, offset)
    entry: dict[str, Any] = {
        "key": [seed, offset],
        "split": prng.split(key, SPLITS).tolist(),
        "fold_in": [[data, prng.fold_in(key, data).tolist()] for data in FOLDS],
    }
    for name, dtype in (("float32", torch.float32), ("float64", torch.float64)):
        entry[f"uniform_{name}"] = bits(prng.uniform(key, COUNT, dtype=dtype))
        entry[f"normal_{name}"] = bits(prng.normal(key, COUNT, dtype=dtype))
    return entry


def rendered(document: dict[str, Any]) -> str:
    """JSON with one line a field, and one line a field of each key's record."""
    head = {name: value for name, value in document.items() if name != "keys"}
    fields = [f' "{name}": {json.dumps(value)},' for name, value in head.items()]
    records = [
        "  {" + ",\n   ".join(f'"{name}": {json.dumps(value)}' for name, value in key.items()) + "}"
        for key in document["keys"]
    ]
    return "\n".join(["{", *fields, ' "keys": [', ",\n".join(records), " ]", "}", ""])


def main() -> None:
    document = {
        "source": "torch.func._random on CPU",
        "torch": torch.__version__,
        "git": torch.version.git_version,
        "python": platform.python_version(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "date": datetime.date.today().isoformat(),
        "command": COMMAND,
        "keys": [record(*key) for key in KEYS],
    }
    sys.stdout.write(rendered(document))


if __name__ == "__main__":
    main()
