"""Run the golden and conformance tests in this environment and record what they ran on.

    python -m tests.golden.versions

The record of an environment (its Python, torch, triton, numba, numpy and device) replaces an
earlier one of the same versions in ``versions.json``.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import torch

from tritoninit import STREAM_VERSION

HERE = Path(__file__).parent
RECORD = HERE / "versions.json"
PACKAGES = ("torch", "triton", "numba", "numpy")
FOLDERS = ("tests/golden", "tests/conformance")


def environment() -> dict[str, str]:
    """What the values might depend on, and do not."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "absent"
    found["machine"] = platform.machine()
    found["processor"] = processor()
    on_gpu = torch.cuda.is_available()
    found["device"] = torch.cuda.get_device_name() if on_gpu else "Triton's interpreter"
    return found


def processor() -> str:
    """What numba compiles for, as LLVM calls it; NUMBA_CPU_NAME sets it."""
    try:
        from numba.core.registry import cpu_target
    except ImportError:
        return platform.processor()
    name: str = cpu_target.target_context.codegen().magic_tuple()[1]
    return name


def run(folder: str) -> dict[str, int]:
    """The tests of a folder: how many passed, failed and were skipped."""
    variables = dict(os.environ)
    if not torch.cuda.is_available():
        variables["TRITON_INTERPRET"] = "1"
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-W", "default", folder]
        subprocess.run([*command, f"--junitxml={report}"], env=variables, cwd=HERE.parents[1])
        suite = ElementTree.parse(report).getroot()[0]
    count = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    failed = count["failures"] + count["errors"]
    return {
        "passed": count["tests"] - failed - count["skipped"],
        "failed": failed,
        "skipped": count["skipped"],
    }


def main() -> int:
    """Record this environment; 1 where a test failed or none passed."""
    found = {"stream_version": STREAM_VERSION, **environment()}
    results = {folder: run(folder) for folder in FOLDERS}
    records = json.loads(RECORD.read_text()) if RECORD.exists() else []
    records = [old for old in records if {key: old.get(key) for key in found} != found]
    records.append({**found, **results})
    order = ("python", *PACKAGES, "machine", "processor")
    records.sort(key=lambda record: [record.get(name, "") for name in order])
    scratch = RECORD.with_suffix(".tmp")
    scratch.write_text(json.dumps(records, indent=1) + "\n")
    scratch.replace(RECORD)
    print(json.dumps({**found, **results}, indent=1))
    return int(any(result["failed"] or not result["passed"] for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
