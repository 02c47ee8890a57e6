"""The versions that the package admits begin with versions that the tests were run on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.golden.versions import FOLDERS, PACKAGES, RECORD

PROJECT = (Path(__file__).parents[2] / "pyproject.toml").read_text()
RECORDS = json.loads(RECORD.read_text())


def numbers(version: str) -> tuple[int, ...]:
    """Major and minor version."""
    return tuple(map(int, version.split(".")[:2]))


def test_no_recorded_run_failed() -> None:
    for record in RECORDS:
        for folder in FOLDERS:
            assert record[folder]["passed"] > 0, record
            assert record[folder]["failed"] == 0, record


@pytest.mark.parametrize("package", ["python", *PACKAGES])
def test_the_lowest_admitted_version_is_the_lowest_recorded_one(package: str) -> None:
    stated = re.search(rf'\b{package}(?: = ")?>=([0-9.]+)"', PROJECT)
    assert stated
    run = {numbers(record[package]) for record in RECORDS if record[package] != "absent"}
    assert numbers(stated.group(1)) == min(run)
