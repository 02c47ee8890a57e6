"""The launcher itself: results by rank, the first error in full, no process left."""

import os
import time

import pytest
import torch
import torch.distributed as dist

from tests.distributed.launch import run


def checks(rank, how):
    """Every rank's number, or an end that is no result."""
    assert dist.get_rank() == rank
    total = torch.tensor(rank + 1)
    dist.all_reduce(total)
    if how == "raise" and rank == 1:
        raise ValueError("of rank one alone")
    if how == "die" and rank == 0:
        os._exit(7)
    if how in ("hang", "raise", "die"):
        time.sleep(60)
    return rank, total.item(), os.getpid()


def is_running(pid):
    return os.path.exists(f"/proc/{pid}")


def test_results_come_back_by_rank():
    results = run(checks, 2, "return")
    assert [result[:2] for result in results] == [(0, 3), (1, 3)]
    assert not any(is_running(result[2]) for result in results)


def test_the_first_error_is_shown_with_its_rank():
    with pytest.raises(AssertionError, match=r"(?s)rank 1 failed:.*of rank one alone"):
        run(checks, 2, "raise", timeout=4)


def test_a_rank_that_dies_is_named():
    with pytest.raises(AssertionError, match="rank 0 failed:\nthe process ended without a result"):
        run(checks, 2, "die", timeout=4)


def test_ranks_that_hang_are_ended():
    start = time.monotonic()
    with pytest.raises(AssertionError, match="it has not ended after 4 s"):
        run(checks, 2, "hang", timeout=4)
    assert time.monotonic() - start < 30
