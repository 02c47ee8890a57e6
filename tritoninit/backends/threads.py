"""Running the parts of a fill on several threads of this process; the kernels release the GIL."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

PARALLEL = 1 << 16  # elements below which one thread is faster (a hand-over costs some 30 us)
SHARES = 8  # of a large fill, for each thread

_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}
_pools_lock = threading.Lock()


def _renew_lock() -> None:
    """Another thread of the parent may have held it while the child was forked."""
    global _pools_lock
    _pools_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def pool(threads: int) -> ThreadPoolExecutor:
    """A pool of this process (a forked child makes its own)."""
    with _pools_lock:
        key = (os.getpid(), threads)
        if key not in _pools:
            _pools[key] = ThreadPoolExecutor(threads, thread_name_prefix="tritoninit")
        return _pools[key]


def run(tasks: Sequence[Callable[[], None]], threads: int) -> None:
    """Run all tasks to their end; then the first exception is raised.

    An interrupt waits for the tasks that run, so that none writes to memory after it.
    """
    if len(tasks) == 1 or threads == 1:
        for task in tasks:
            task()
        return
    futures: list[Future[None]] = []
    try:
        for task in tasks:
            futures.append(pool(threads).submit(task))
        wait(futures)
    except BaseException:  # KeyboardInterrupt, or what another signal's handler raises
        for future in futures:
            future.cancel()
        wait(futures)
        raise
    for future in futures:
        future.result()
