"""A compiler that contracts or flushes gives other bits, and the machine shows it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.machine.apart import needs_compiler, written_by

pytestmark = needs_compiler


@pytest.fixture(scope="module")
def fills(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return written_by("tests.amd.broken", tmp_path_factory.mktemp("broken"))


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
