"""The launcher itself: results by rank, the first error in full, no process left."""

import os
import time

import pytest
import torch
import torch.distributed as dist

from tests.distributed.launch import launch


def checks(how):
    """Every rank's number, or an end that is no result."""
    rank = dist.get_rank()
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
    results = launch(checks, 2, "return")
    assert [result[:2] for result in results] == [(0, 3), (1, 3)]
    assert not any(is_running(result[2]) for result in results)


def test_the_first_error_is_shown_with_its_rank():
    with pytest.raises(RuntimeError, match=r"(?s)rank 1 of 2 failed:.*of rank one alone"):
        launch(checks, 2, "raise")


def test_a_rank_that_dies_is_named():
    with pytest.raises(RuntimeError, match="rank 0 of 2 ended without a result, exit code 7"):
        launch(checks, 2, "die")


def test_ranks_that_hang_are_ended():
    start = time.monotonic()
    with pytest.raises(TimeoutError, match=r"ranks \[0, 1\] were not done"):
        launch(checks, 2, "hang", timeout_s=4)
    assert time.monotonic() - start < 30
