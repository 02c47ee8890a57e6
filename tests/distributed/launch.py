"""Run a function on several gloo processes of this machine."""

import os
import queue
import socket
import time
import traceback
from datetime import timedelta

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

# Imported once, in the server that every rank is forked from: 4 s of processor time a rank.
PRELOADED = ["torch.distributed.fsdp", "torch.distributed.tensor.parallel", "numba", "scipy.linalg"]


def launch(function, ranks, *args, timeout_s=120):
    """``function(*args)`` on every rank of a gloo group; its results, by rank.

    ``function`` is a module's own; arguments and results are pickled.  Every process has ended
    when this returns or raises.

    Raises:
        RuntimeError: a rank failed; the text holds the traceback of the one that failed first.
        TimeoutError: the ranks were not done after ``timeout_s`` seconds.
    """
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    results = context.Queue()
    port = _free_port()
    processes = [
        context.Process(
            target=_rank, args=(function, rank, ranks, port, timeout_s, args, results), daemon=True
        )
        for rank in range(ranks)
    ]
    try:
        for process in processes:
            process.start()
        return _collected(processes, results, time.monotonic() + timeout_s)
    finally:
        for process in processes:
            if process.pid is not None:
                process.kill()
                process.join()


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _rank(function, rank, ranks, port, timeout_s, args, results):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(ranks), LOCAL_RANK=str(rank))
    torch.set_num_threads(1)
    try:
        dist.init_process_group(
            "gloo", rank=rank, world_size=ranks, timeout=timedelta(seconds=timeout_s)
        )
        try:
            value, error = function(*args), None
        finally:
            if dist.is_initialized():
                dist.destroy_process_group()
    except BaseException:
        value, error = None, traceback.format_exc()
    results.put((rank, value, error))


def _collected(processes, results, deadline):
    """The results of all ranks, or the first error."""
    values = {}
    while len(values) < len(processes):
        try:
            rank, value, error = results.get(timeout=0.2)
        except queue.Empty:
            _check_alive(processes, values)
            if time.monotonic() > deadline:
                missing = sorted(set(range(len(processes))) - values.keys())
                raise TimeoutError(f"ranks {missing} were not done in time") from None
            continue
        if error is not None:
            raise RuntimeError(f"rank {rank} of {len(processes)} failed:\n{error}")
        values[rank] = value
    return [values[rank] for rank in range(len(processes))]


def _check_alive(processes, values):
    for rank, process in enumerate(processes):
        if rank not in values and process.exitcode not in (None, 0):
            raise RuntimeError(
                f"rank {rank} of {len(processes)} ended without a result, exit code"
                f" {process.exitcode}"
            )
