"""Running the parts of a fill on several threads of this process; the kernels release the GIL."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait

PARALLEL = 1 << 16  # elements below which one thread is faster (a hand-over costs some 30 us)
SHARES = 8  # of a large fill, for each thread

_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}
_pools_lock = threading.Lock()


def pool(threads: int) -> ThreadPoolExecutor:
    """A pool of this process (a forked child makes its own)."""
    with _pools_lock:
        key = (os.getpid(), threads)
        if key not in _pools:
            _pools[key] = ThreadPoolExecutor(threads, thread_name_prefix="tritoninit")
        return _pools[key]


def run(tasks: Sequence[Callable[[], None]], threads: int) -> None:
    """Run all tasks to their end; then the first exception is raised."""
    if len(tasks) == 1 or threads == 1:
        for task in tasks:
            task()
        return
    futures = [pool(threads).submit(task) for task in tasks]
    wait(futures)
    for future in futures:
        future.result()
