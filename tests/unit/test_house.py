"""Rules of the repository that no other tool checks."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("tritoninit", "kernels", "tests", "benchmarks")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
MOST_LINES = 299


def short(path):
    return str(path.relative_to(ROOT))


def test_the_folders_are_found():
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(FOLDERS)


@pytest.mark.parametrize("path", FILES, ids=short)
def test_files_are_under_300_lines(path):
    assert len(path.read_text().splitlines()) <= MOST_LINES
