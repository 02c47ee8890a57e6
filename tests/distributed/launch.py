"""Run a function on the ranks of a gloo process group, each a process of its own.

Processes come from a fork server that has imported torch once, so that a launch takes a fraction
of a second.  Whatever happens, none outlives the launch.
"""

import faulthandler
import multiprocessing
import os
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

PRELOADED = [
    *("torch.distributed.fsdp", "torch.distributed.tensor.parallel", "torch._dynamo"),
    "tests.distributed.warm",
]


@dataclass
class Outcome:
    """What became of a rank: its result or its traceback, and how its process ended."""

    rank: int
    value: Any = None
    error: str | None = None
    exitcode: int | None = None
    ended: float = 0.0  # time.monotonic()


def _rank(connection, function, rank, ranks, store, timeout, group_timeout, args):
    import torch
    import torch.distributed as dist

    faulthandler.dump_traceback_later(0.9 * timeout)
    warnings.simplefilter("error")
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(1)
    try:
        if group_timeout is not None:
            dist.init_process_group(
                "gloo",
                init_method=f"file://{store}",
                rank=rank,
                world_size=ranks,
                timeout=timedelta(seconds=group_timeout),
            )
        outcome = Outcome(rank, value=function(rank, *args))
    except BaseException:
        outcome = Outcome(rank, error=traceback.format_exc())
    outcome.ended = time.monotonic()
    connection.send(outcome)
    connection.close()
    os._exit(0)  # what the group's threads still wait for does not matter


def launch(
    function: Callable[..., Any],
    ranks: int,
    *args: Any,
    timeout: float = 60,
    group_timeout: float | None = 30,
) -> list[Outcome]:
    """Call the module-level ``function(rank, *args)`` on every rank.

    ``group_timeout`` is the process group's own, in seconds; None means no group.  A rank that
    has not ended after ``timeout`` seconds is killed, which is its error; where it
    hung is on stderr.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    outcomes = [Outcome(rank) for rank in range(ranks)]
    deadline = time.monotonic() + timeout
    with tempfile.TemporaryDirectory() as folder:
        store = os.path.join(folder, "store")
        processes, connections = [], []
        try:
            for rank in range(ranks):
                receiver, sender = context.Pipe(duplex=False)
                given = (sender, function, rank, ranks, store, timeout, group_timeout, args)
                process = context.Process(target=_rank, args=given, daemon=True)
                process.start()
                sender.close()
                processes.append(process)
                connections.append(receiver)
            for rank, connection in enumerate(connections):
                if not connection.poll(max(0.0, deadline - time.monotonic())):
                    outcomes[rank].error = f"it has not ended after {timeout} s"
                    outcomes[rank].ended = deadline
                    continue
                try:
                    outcomes[rank] = connection.recv()
                except EOFError:
                    outcomes[rank].error = "the process ended without a result"
            for outcome, process in zip(outcomes, processes, strict=True):
                process.join(max(0.1, deadline - time.monotonic()))
                outcome.exitcode = process.exitcode
        finally:
            for process in processes:
                if process.is_alive():
                    process.kill()
                process.join()
            for connection in connections:
                connection.close()
    return outcomes


def run(function: Callable[..., Any], ranks: int, *args: Any, **options: Any) -> list[Any]:
    """The results of all ranks; the first error in full where one failed."""
    outcomes = launch(function, ranks, *args, **options)
    failed = sorted((o for o in outcomes if o.error), key=lambda outcome: outcome.ended)
    if failed:
        others = ", ".join(str(outcome.rank) for outcome in failed[1:])
        note = f"\n(ranks {others} failed as well)" if others else ""
        raise AssertionError(f"rank {failed[0].rank} failed:\n{failed[0].error}{note}")
    return [outcome.value for outcome in outcomes]
