"""Which host backend is taken, and that threads and chunks do not show in the values."""

from __future__ import annotations

import builtins
import logging
import threading
from typing import Any

import numba
import numpy as np
import pytest
import torch

from tritoninit import Key, init
from tritoninit.backends import host_backend, host_regions, numba_, threads
from tritoninit.sampler import DType


@pytest.fixture
def fresh_backend() -> Any:
    host_backend.cache_clear()
    yield
    host_backend.cache_clear()


@pytest.mark.usefixtures("fresh_backend")
def test_without_numba_the_numpy_path_is_taken_and_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = init.normal_(torch.empty(1000), generator=Key(1))
    host_backend.cache_clear()
    real_import = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "tritoninit.backends.numba_":
            raise ImportError("No module named 'numba'")
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with caplog.at_level(logging.WARNING, logger="tritoninit"):
        assert host_backend().name == "numpy"
    assert "No module named 'numba'" in caplog.text
    assert torch.equal(init.normal_(torch.empty(1000), generator=Key(1)), expected)


def test_kernels_compile_where_nothing_can_be_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locator(*_: Any) -> Any:
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(numba.core.dispatcher.Dispatcher, "enable_caching", no_locator)
    numba_.kernel.cache_clear()
    out = np.empty(8, np.float32)
    run = numba_.kernel("uniform", DType.FLOAT32, 2)
    run((2.0**-24, 0.0), numba_.address_of(out), 8, 1, 0, 0, 1, 0, 0)
    monkeypatch.undo()
    numba_.kernel.cache_clear()
    assert out.tolist() == init.uniform_(torch.empty(8), generator=Key(1)).tolist()


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_threads_do_not_show(count: int) -> None:
    before = torch.get_num_threads()
    shapes = [(threads.PARALLEL + 1,), (3, threads.PARALLEL), (2 * host_regions.CHUNK + 5,)]
    expected = [init.normal_(torch.empty(shape), generator=Key(2)) for shape in shapes]
    strided = [init.normal_(torch.empty(*shape, 2)[..., 0], generator=Key(2)) for shape in shapes]
    torch.set_num_threads(count)
    try:
        for shape, whole, view in zip(shapes, expected, strided, strict=True):
            assert torch.equal(init.normal_(torch.empty(shape), generator=Key(2)), whole)
            assert torch.equal(whole, view)
    finally:
        torch.set_num_threads(before)


def test_fills_from_many_threads_at_once() -> None:
    expected = init.normal_(torch.empty(4, threads.PARALLEL), generator=Key(3))
    tensors = [torch.empty(4, threads.PARALLEL) for _ in range(8)]
    workers = [
        threading.Thread(target=init.normal_, args=(tensor,), kwargs={"generator": Key(3)})
        for tensor in tensors
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(torch.equal(tensor, expected) for tensor in tensors)


def test_a_forked_child_has_threads_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool's threads do not survive a fork: work handed to them would wait for ever."""
    stale = threads.pool(2)
    assert threads.pool(2) is stale
    monkeypatch.setattr(threads.os, "getpid", lambda: -1)
    assert threads.pool(2) is not stale
