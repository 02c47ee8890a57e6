"""Record the fingerprints of the public initializers' values, computed by the numpy backend.

    python -m tests.golden.make_init_vectors > tests/golden/init.json

Run it only together with a change of STREAM_VERSION.
"""

from __future__ import annotations

import json

import torch

from tests.golden.golden_calls import calls, numpy_alone
from tritoninit import STREAM_VERSION, fingerprint

COMMAND = "python -m tests.golden.make_init_vectors > tests/golden/init.json"


def main() -> None:
    with numpy_alone():
        sums = {
            str(call): fingerprint(
                {call.name: call.fill(lambda sizes, dtype: torch.empty(sizes, dtype=dtype))}
            )
            for call in calls()
        }
    document = {
        "source": "tritoninit.init on the numpy backend",
        "command": COMMAND,
        "stream_version": STREAM_VERSION,
        "sums": sums,
    }
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
