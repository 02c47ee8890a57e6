"""Break the code in every way of ``values.py`` and ``models.py`` and see that the tests notice.

    python -m tests.mutation [--jobs 2] [--only TEXT] [--out FILE]

Every job works in its own copy of the repository.  First the tests run on the unbroken copy;
then each mutant is put in, its tests run until the first failure, and it is taken out again.
Prints a table of the mutants and the tests that caught them; exits with 1 where one survived.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutation import models, values
from tests.mutation.mutant import Mutant

MUTANTS = [*values.MUTANTS, *models.MUTANTS]
ROOT = Path(__file__).parents[2]
HEADING = "Faults put into the code, and the first test that noticed"
LIMIT = 600  # seconds; a mutant may make the tests wait for ever
FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)
COPIED = ("kernels", "tests", "tritoninit", "benchmarks", "pyproject.toml", "README.md", "Makefile")


def copy_of_the_repository(folder: Path) -> Path:
    """A copy from which ``import tritoninit`` works without being installed."""
    skipped = shutil.ignore_patterns("__pycache__", "results", "*.egg-info")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=skipped)
        else:
            shutil.copy(source, folder / name)
    (folder / "tritoninit" / "kernels").symlink_to(folder / "kernels", target_is_directory=True)
    return folder


def run(folder: Path, tests: list[str]) -> tuple[int, str]:
    """pytest's exit code and the first test that failed."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",  # mutants come faster than the clock of the files ticks
        "NUMBA_CACHE_DIR": str(folder / "numba"),
    }
    if any("conformance" in test for test in tests):
        environment["TRITON_INTERPRET"] = "1"
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT
        )
    except subprocess.TimeoutExpired:
        return 1, f"(no end within {LIMIT} s)"
    found = FAILED.search(done.stdout)
    return done.returncode, found.group(1) if found else done.stdout[-300:]


def groups(tests: str) -> list[list[str]]:
    """Conformance tests run alone: they switch Triton's interpreter on."""
    names = tests.split()
    conformance = [name for name in names if "conformance" in name]
    others = [name for name in names if "conformance" not in name]
    return [group for group in (others, conformance) if group]


def outcome(folder: Path, mutant: Mutant) -> tuple[bool, str]:
    """Whether the mutant is caught, and by which test."""
    path = folder / mutant.file
    whole = path.read_text()
    assert whole.count(mutant.old) == 1, mutant.what
    path.write_text(whole.replace(mutant.old, mutant.new))
    try:
        for tests in groups(mutant.tests):
            code, test = run(folder, tests)
            if code == 1:
                return True, test
            if code:
                return False, f"pytest ended with {code}: {test}"
        return False, "survived"
    finally:
        path.write_text(whole)


def main() -> int:
    """Run all mutants; 1 where one survived or the unbroken code fails its tests."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="mutants at once")
    parser.add_argument("--only", default="", help="mutants whose description has this text")
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if arguments.only in mutant.what]
    local = threading.local()
    with tempfile.TemporaryDirectory() as scratch:

        def at_work(task: Mutant | list[str]) -> tuple[bool, str]:
            if not hasattr(local, "folder"):
                local.folder = copy_of_the_repository(Path(tempfile.mkdtemp(dir=scratch)))
            if isinstance(task, Mutant):
                caught, test = outcome(local.folder, task)
                print("caught  " if caught else "SURVIVED", task.what, "--", test, flush=True)
                return caught, test
            code, test = run(local.folder, task)
            return code == 0, test

        with ThreadPoolExecutor(arguments.jobs) as pool:
            files = sorted({name for mutant in chosen for name in mutant.tests.split()})
            for tests, (passed, test) in zip(
                groups(" ".join(files)), pool.map(at_work, groups(" ".join(files))), strict=True
            ):
                if not passed:
                    print(f"the unbroken code fails {test} of {tests}")
                    return 1
            results = list(pool.map(at_work, chosen))
    lines = ["| fault | file | caught by |", "|---|---|---|"]
    for mutant, (_, test) in zip(chosen, results, strict=True):
        lines.append(f"| {mutant.what} | `{mutant.file}` | `{test}` |")
    table = "\n".join(lines)
    print(table)
    caught = sum(caught for caught, _ in results)
    told = f"{caught} of {len(results)} caught"
    if arguments.out:
        arguments.out.write_text(f"# {HEADING}\n\n{told}; `python -m tests.mutation`.\n\n{table}\n")
    print(told)
    return int(caught < len(results))


if __name__ == "__main__":
    sys.exit(main())
