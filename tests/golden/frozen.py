"""The record of what each stream version's values are.

    python -m tests.golden.frozen

adds the recorded vectors of the current STREAM_VERSION to ``frozen.json``.  A version that is in
there with other vectors is never replaced: other values are another version.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from tritoninit import STREAM_VERSION

FOLDER = Path(__file__).parent
RECORD = FOLDER / "frozen.json"
VECTORS = ("stream.json", "init.json", "long.json", "fingerprint.json")
PROVENANCE = ("source", "command")  # says where the values come from, and is none


def digest(document: dict[str, Any]) -> str:
    """SHA-256 of the values of a file of vectors."""
    values = {name: value for name, value in document.items() if name not in PROVENANCE}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def current() -> dict[str, str]:
    """The digests of the vectors as they are."""
    return {name: digest(json.loads((FOLDER / name).read_text())) for name in VECTORS}


def recorded() -> dict[str, dict[str, str]]:
    """The digests of every frozen version."""
    found: dict[str, dict[str, str]] = json.loads(RECORD.read_text())
    return found


def extended(
    record: dict[str, dict[str, str]], version: int, digests: dict[str, str]
) -> dict[str, dict[str, str]]:
    """The record with this version.

    Raises:
        ValueError: the version is 0, does not follow the last one, or is there with other values.
    """
    last = max(map(int, record), default=0)
    if record.get(str(version), digests) != digests:
        raise ValueError(f"version {version} is frozen with other values: raise STREAM_VERSION")
    if version != last and version != last + 1:
        raise ValueError(f"version {version} does not follow {last}")
    if version == 0:
        raise ValueError("version 0 is provisional")
    return {**record, str(version): digests}


def main() -> None:
    record = recorded() if RECORD.exists() else {}
    try:
        made = extended(record, STREAM_VERSION, current())
    except ValueError as error:
        sys.exit(str(error))
    unfinished = RECORD.with_suffix(".tmp")
    unfinished.write_text(json.dumps(made, indent=1) + "\n")
    os.replace(unfinished, RECORD)


if __name__ == "__main__":
    main()
