"""The progress bar: on a terminal, for long work, where tqdm is installed; the log beside it."""

import logging
import sys

import pytest
import torch
from torch import nn

import tritoninit
from tests.unit.models import on_meta
from tritoninit import progress as module


@pytest.fixture
def bars(monkeypatch):
    """The totals of the bars that are drawn, and what they were told."""
    tqdm = pytest.importorskip("tqdm")
    found = []

    class Bar:
        def __init__(self, total, **_):
            found.append([total, 0])

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return False

        def update(self, count):
            found[-1][1] += count

    monkeypatch.setattr(tqdm, "tqdm", Bar)
    return found


def fill(monkeypatch, is_terminal, least):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal, raising=False)
    monkeypatch.setattr(module, "BAR_FROM", least)
    tritoninit.materialize(on_meta(lambda: nn.Linear(8, 8)), "cpu")


def test_a_bar_is_drawn_on_a_terminal_and_reaches_its_end(bars, monkeypatch):
    fill(monkeypatch, True, 0)
    assert bars == [[288, 288]]


@pytest.mark.parametrize(("is_terminal", "least"), [(False, 0), (True, 289)])
def test_there_is_none_elsewhere_or_for_short_work(bars, monkeypatch, is_terminal, least):
    fill(monkeypatch, is_terminal, least)
    assert bars == []


def test_what_was_done_is_logged(caplog):
    with caplog.at_level(logging.INFO, "tritoninit"):
        tritoninit.materialize(on_meta(lambda: nn.Linear(8, 8, dtype=torch.float64)), "cpu")
    assert [record.getMessage() for record in caplog.records] == [
        "materialized 576 bytes of Linear"
    ]


@pytest.mark.parametrize("build", [nn.LazyLinear, nn.LazyConv2d, nn.LazyBatchNorm1d])
def test_a_lazy_module_is_refused_by_name(build):
    arguments = {nn.LazyLinear: (3,), nn.LazyConv2d: (3, 2), nn.LazyBatchNorm1d: ()}[build]
    model = nn.Sequential(on_meta(lambda: build(*arguments)))
    message = rf"0\.weight of {build.__name__} is lazy and has no shape yet; run the model once"
    for function in (tritoninit.plan, tritoninit.materialize):
        with pytest.raises(RuntimeError, match=message):
            function(model)
