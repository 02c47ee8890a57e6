"""The benchmarks' way on a GPU, from the first line to the page: on host memory, small."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import common, render
from tests.rehearsal.__main__ import CARD, FAULT, SCRIPT, timed

# A PYTHON that has a GPU, of which one benchmark ends with an error, and every call is kept.
INTERPRETER = """#!/bin/sh
echo "$*" >> {calls}
case "$2" in benchmarks.bench_single) exit 1 ;; esac
"""


NAMES = [name for _, name in timed()]


@pytest.mark.skipif(not importlib.util.find_spec("triton"), reason="Triton is not installed")
def test_every_benchmark_goes_its_way_on_a_gpu(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "tests.rehearsal", str(tmp_path)]
    run = subprocess.run(command, cwd=common.ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    documents = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in NAMES}
    for name, document in documents.items():
        assert document["environment"]["device"] == "cuda"
        assert document["environment"]["gpu"]["name"] == CARD
        assert not document["quick"]
        assert document["failed"] == {}, name
        assert document["results"], name
    page = (tmp_path / "README.md").read_text()
    for name in NAMES:
        assert f"## {render.TABLES[name][0]}" in page
    for row in ("normal_ bfloat16", "Llama 3 8B, a loop of torch.nn.init"):
        assert re.search(rf"^\| {row} \| >= [^|]+ \| [\d.e-]+", page, re.MULTILINE), row
    assert "| jax, every line | >= 1x | not measured |" in page
    assert f"{FAULT}: jax, float32 on cuda" in page
    assert "Another card" in page
    table = page.split("## ")[0].removeprefix("# Benchmark results\n").strip()
    assert run.stdout.strip().endswith(table)


def test_a_benchmark_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    calls, python = tmp_path / "calls", tmp_path / "python"
    python.write_text(INTERPRETER.format(calls=calls))
    python.chmod(0o755)
    command = [str(SCRIPT), str(python), str(tmp_path / "results")]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr == "failed: bench_single\n"
    lines = calls.read_text().splitlines()
    assert [line for line in lines if line.startswith("-m benchmarks.render")] == lines[-1:]
    for name in NAMES:
        assert sum(f"/{name}.json" in line for line in lines) == 1
