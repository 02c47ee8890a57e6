"""What the driver receives of a cached launch is what it receives of Triton's own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.machine.apart import needs_compiler, written_by

pytestmark = needs_compiler


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return written_by("tests.gpu_compile.recorded", tmp_path_factory.mktemp("recorded"))


@pytest.fixture
def records(recorded: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = recorded["records"]
    return found


def test_this_tritons_launcher_is_one_that_need_not_be_asked_each_time(
    recorded: dict[str, Any],
) -> None:
    assert recorded["ways"] in (["directly"], ["directly_flat"])


def test_every_launch_has_tritons_kernel_grid_and_parameters(
    records: list[dict[str, Any]],
) -> None:
    for record in records:
        assert record["ours"] == record["triton"] * 2, record["label"]


def test_the_short_way_was_taken(records: list[dict[str, Any]]) -> None:
    assert [record["label"] for record in records if not record["taken"]] == []


def test_the_record_tells_launches_apart(records: list[dict[str, Any]]) -> None:
    """Other tensors, keys, sizes and distributions: other kernels, grids or parameters."""
    launches = {json.dumps(record["triton"]) for record in records}
    assert len(launches) == len(records)
    assert len({record["triton"][0]["function"] for record in records}) > 10
