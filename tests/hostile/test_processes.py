"""Threads, forked and spawned processes, interrupts."""

import multiprocessing
import os
import select
import signal
import subprocess
import sys
import threading
import time
import warnings

import pytest
import torch

from tritoninit import Key, fingerprint, init, materialize
from tritoninit.backends import threads

LARGE = (threads.PARALLEL // 100, 1000)  # elements for several threads
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
# torch's own operations stay out of children: after a fork OpenMP's threads are gone, and a
# parallel one waits for them for ever.


def drawn(size=LARGE):
    return init.normal_(torch.empty(size), generator=Key(5)).numpy().tobytes()


def materialized():
    with torch.device("meta"):
        model = torch.nn.Linear(*LARGE)
    materialize(model, "cpu", seed=2)
    return fingerprint(model).encode()


def in_a_child(function, seconds=60):
    """The last bytes of what the function returns in a forked process; None if it hangs."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of threads
        child = os.fork()
    if not child:
        try:
            os.write(write, function()[-64:])
        finally:
            os._exit(0)
    os.close(write)
    try:
        if not select.select([read], [], [], seconds)[0]:
            return None
        return os.read(read, 64)
    finally:
        os.close(read)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@forks
@pytest.mark.parametrize("function", [drawn, materialized])
def test_a_child_fills_after_its_parents_threads_have(function):
    expected = function()[-64:]
    assert in_a_child(function) == expected


@forks
def test_a_child_fills_whatever_its_parents_threads_are_doing():
    expected, stop = drawn()[-64:], threading.Event()

    def work():
        while not stop.is_set():
            drawn()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        results = [in_a_child(drawn) for _ in range(10)]
    finally:
        stop.set()
        worker.join()
    assert results == [expected] * 10


@forks
def test_a_child_does_not_wait_for_a_lock_that_its_parent_held():
    expected = drawn()[-64:]
    with threads._pools_lock:
        assert in_a_child(drawn, seconds=20) == expected


class Drawn(torch.utils.data.Dataset):
    """Each item is drawn by the worker that loads it."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return init.normal_(torch.empty(70_000), generator=Key(index))


@forks
def test_workers_of_a_data_loader_draw_what_the_main_process_does():
    drawn()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        loader = torch.utils.data.DataLoader(
            Drawn(), batch_size=2, num_workers=2, multiprocessing_context="fork", timeout=60
        )
        batches = list(loader)
    assert torch.equal(torch.cat(batches), torch.stack([Drawn()[i] for i in range(6)]))


def spawned(key, results):
    """Runs in a process of its own; the key came by pickle."""
    results.put(init.normal_(torch.empty(5), generator=key).tolist())


def test_a_spawned_process_draws_the_same():
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    key = Key(2**64 - 1).fold_in("spawned")
    process = context.Process(target=spawned, args=(key, results))
    process.start()
    values = results.get(timeout=60)
    process.join()
    assert values == init.normal_(torch.empty(5), generator=key).tolist()


FIRST_CALLS = """
import threading, torch
from tritoninit import Key, init
calls = [("normal_", ()), ("uniform_", ())] * 2
start, found = threading.Barrier(len(calls)), [None] * len(calls)
def work(i, name, args):
    start.wait()
    small, large = torch.empty(30, 3), torch.empty(300, 300)
    found[i] = [getattr(init, name)(t, *args, generator=Key(1)) for t in (small, large)]
workers = [threading.Thread(target=work, args=(i, *call)) for i, call in enumerate(calls)]
for worker in workers: worker.start()
for worker in workers: worker.join()
for i, (name, args) in enumerate(calls):
    for tensor in found[i]:
        again = getattr(init, name)(torch.empty_like(tensor), *args, generator=Key(1))
        assert torch.equal(tensor, again), name
print("done")
"""


def test_threads_of_processes_may_all_be_the_first_to_compile(tmp_path):
    """Two fresh processes share an empty cache; in each, four threads start together."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", FIRST_CALLS],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        output, errors = process.communicate(timeout=120)
        assert output == "done\n", errors


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals to a thread")
def test_an_interrupt_waits_for_the_tasks_that_run_and_drops_the_others():
    started, running, finished = threading.Event(), [], []

    def task():
        running.append(1)
        started.set()
        time.sleep(0.2)
        finished.append(1)

    def interrupt():
        started.wait()
        time.sleep(0.1)  # a signal just before a thread begins to wait is seen after the wait
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threads.run([lambda: time.sleep(0.1)] * 2, 2)  # the pool's own threads are there
    # A shell's background jobs ignore the signal, unless they say otherwise.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            threads.run([task] * 50, 2)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert len(finished) == len(running) < 50
    time.sleep(0.3)
    assert len(finished) == len(running)


def interrupted(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("size", [3, threads.PARALLEL + 1])
def test_a_write_that_is_cut_short_has_moved_the_version_counter(size, monkeypatch):
    """Autograd must not take what was half written for what it saved."""
    monkeypatch.setattr("tritoninit.ready.Ready.write", property(lambda _: interrupted))
    monkeypatch.setattr("tritoninit.fill.fill_contiguous", interrupted)
    tensor = torch.zeros(size)
    version = tensor._version
    with pytest.raises(KeyboardInterrupt):
        init.normal_(tensor, generator=Key(0))
    assert tensor._version > version
