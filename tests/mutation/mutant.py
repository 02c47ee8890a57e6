"""What a mutant is."""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """``old`` stands once in ``file``; with ``new`` in its place one of ``tests`` must fail."""

    what: str
    file: str
    old: str
    new: str
    tests: str
