"""Record the fingerprints of long draws, computed on the host.

    python -m tests.golden.make_long_vectors > tests/golden/long.json

Run it only together with a change of STREAM_VERSION.
"""

from __future__ import annotations

import json

from tests.golden.long_calls import COUNT, draws
from tritoninit import STREAM_VERSION

COMMAND = "python -m tests.golden.make_long_vectors > tests/golden/long.json"


def main() -> None:
    document = {
        "source": "tritoninit on the numba backend",
        "command": COMMAND,
        "stream_version": STREAM_VERSION,
        "count": COUNT,
        "sums": {str(draw): draw.sum() for draw in draws()},
    }
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
