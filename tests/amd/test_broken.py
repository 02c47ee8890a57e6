"""A compiler that contracts or flushes gives other bits, and the machine shows it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    shutil.which(os.environ.get("CC", "gcc")) is None, reason="no C compiler"
)


@pytest.fixture(scope="module")
def fills(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bool]]:
    path = tmp_path_factory.mktemp("broken") / "fills.json"
    environment = {name: v for name, v in os.environ.items() if name != "TRITON_INTERPRET"}
    run = subprocess.run(
        [sys.executable, "-m", "tests.amd.broken", str(path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    found: dict[str, dict[str, bool]] = json.loads(path.read_text())
    return found


def test_the_kernels_as_they_are_compiled_give_the_hosts_bits(
    fills: dict[str, dict[str, bool]],
) -> None:
    assert all(fills["right"].values())


def test_contraction_would_be_noticed(fills: dict[str, dict[str, bool]]) -> None:
    assert not fills["contracting"]["normal float64"]
    assert not fills["contracting"]["truncated far away"]


def test_flushed_subnormals_would_be_noticed(fills: dict[str, dict[str, bool]]) -> None:
    same = fills["flushing"]
    assert [name for name in same if not same[name]] == ["subnormal"]
