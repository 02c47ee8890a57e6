"""The comparison of the README runs, and says of tritoninit what it promises."""

import pytest
import torch

from benchmarks.compare_dtensor import CASES, LIBRARIES, PLACEMENTS, compare, table
from tests.distributed.launch import run
from tritoninit import init


@pytest.fixture(scope="module")
def rows():
    return run(compare, 2)[0]


def test_tritoninit_gives_the_single_processs_bits_everywhere(rows):
    assert len(rows) == len(CASES) * len(PLACEMENTS)
    assert {row.verdicts["tritoninit"] for row in rows} == {"the single process's bits"}


def test_the_comparison_can_tell_the_difference(rows):
    """What torch gives may get better; that a constant is right shows that it can be seen."""
    theirs = {(row.case, row.placement): row.verdicts["torch.nn.init"] for row in rows}
    assert theirs["constant_ 8 x 6", "Shard(0)"] == "the single process's bits"
    if torch.__version__.startswith("2.13."):
        assert theirs["normal_ 8 x 6", "Shard(0)"] == "the same shard on every rank"
        assert theirs["dirac_ 8 x 8 x 3", "Shard(0)"] == "all zeros"
        assert theirs["sparse_ 8 x 6", "Shard(1)"].startswith("raises RuntimeError")


def test_every_initializer_is_compared():
    names = {case.name for case in CASES}
    assert names >= {"uniform_", "normal_", "trunc_normal_", "orthogonal_", "sparse_", "eye_"}
    assert all(hasattr(init, name) for name in names)


def test_the_table_has_a_line_for_every_row(rows):
    lines = table(rows).splitlines()
    assert len(lines) == len(rows) + 2
    assert {line.count("|") for line in lines} == {3 + len(LIBRARIES)}
