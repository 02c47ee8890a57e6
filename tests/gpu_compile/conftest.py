"""Every kernel variant of every target, compiled once in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.gpu_compile.variants import TARGETS, Variant

ROOT = Path(__file__).parents[2]


class Listings(Mapping[Variant, SimpleNamespace]):
    """What the compiler made of each variant for one target."""

    def __init__(self, path: Path) -> None:
        stored = json.loads(path.read_text())
        self._kernels = {
            Variant(*name.split("/")): SimpleNamespace(**listing)
            for name, listing in stored.items()
        }

    def __getitem__(self, variant: Variant) -> SimpleNamespace:
        return self._kernels[variant]

    def __iter__(self) -> Iterator[Variant]:
        return iter(self._kernels)

    def __len__(self) -> int:
        return len(self._kernels)


def compile_all(folder: Path) -> dict[str, Listings]:
    """The listings of every target, each compiled in a process of its own."""
    environment = {name: v for name, v in os.environ.items() if name != "TRITON_INTERPRET"}
    started = {}
    for target in TARGETS:
        path = folder / f"{target}.json"
        command = [sys.executable, "-m", "tests.gpu_compile.compiled", target, str(path)]
        started[path] = subprocess.Popen(
            command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
        )
    for process in started.values():
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    return {path.stem: Listings(path) for path in started}


@pytest.fixture(scope="session")
def listings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Listings]:
    return compile_all(tmp_path_factory.mktemp("listings"))
