"""Ranks that disagree, fail or die: an error on every rank, nothing bound, and no hang."""

import importlib
import os
import signal
import time

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Shard

import tritoninit
from tests.distributed.launch import launch, run
from tests.distributed.models import on_meta
from tritoninit.ranks import collective

implementation = importlib.import_module("tritoninit.materialize")  # not the function
schedule = importlib.import_module("tritoninit.schedule")
RANKS = 4
ODD = 2  # the rank that differs


class Small(nn.Module):
    def __init__(self, width=8, dtype=torch.float32):
        super().__init__()
        self.a = nn.Linear(8, 12)
        self.b = nn.Linear(12, width, dtype=dtype)


def sharded(model=None, **options):
    model = on_meta(Small) if model is None else model
    fully_shard(model, mesh=init_device_mesh("cpu", (dist.get_world_size(),)), **options)
    return model


def is_odd():
    return dist.get_rank() == ODD


def is_meta(model):
    return all(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))


class Failure(Exception):
    pass


def fail(*_, **__):
    raise Failure("out of luck")


def seed():
    return sharded(), {"seed": 7 if is_odd() else 0}


def shape():
    return sharded(on_meta(lambda: Small(width=16 if is_odd() else 8))), {}


def recipe():
    def init_fn(module):
        for parameter in module.parameters(recurse=False):
            nn.init.normal_(parameter, std=0.5 if is_odd() else 0.25)

    return sharded(), {"init_fn": init_fn}


def dtype():
    kind = torch.float64 if is_odd() else torch.float32
    return sharded(on_meta(lambda: Small(dtype=kind))), {}


def placement():
    def place(parameter):
        return Shard(1) if is_odd() and parameter.shape == (8, 12) else Shard(0)

    return sharded(shard_placement_fn=place), {}


def plain():
    model = on_meta(Small)
    ignored = set(model.b.parameters()) if is_odd() else set()
    return sharded(model, ignored_params=ignored), {}


def skipping():
    return sharded(), {"skip": ["b"] if is_odd() else []}


def rounding():
    return sharded(), {"dtype": torch.bfloat16 if is_odd() else None}


def missing():
    model = on_meta(Small)
    if is_odd():
        del model.b
    return sharded(model), {}


def raising():
    return sharded(), {"init_fn": fail} if is_odd() else {}


def refused_device():
    return sharded(), {"device": "meta" if is_odd() else "cpu"}


def allocating():
    if is_odd():
        implementation.allocate = fail
    return sharded(), {}


def filling():
    if is_odd():
        schedule.write_parts = fail
    return sharded(), {}


DIFFER = {
    f.__name__: f
    for f in (seed, shape, recipe, dtype, placement, plain, skipping, rounding, missing)
}
FAIL = {f.__name__: f for f in (raising, refused_device, allocating, filling)}


def attempt_all(rank, scenarios):
    """For every scenario the error's type and text, and whether all is still on meta."""
    originals = implementation.allocate, schedule.write_parts
    found = {}
    for name in scenarios:
        model, options = globals()[name]()
        try:
            tritoninit.materialize(model, **options)
        except Exception as error:
            found[name] = type(error).__name__, str(error), is_meta(model)
        else:
            found[name] = "nothing", "", is_meta(model)
        implementation.allocate, schedule.write_parts = originals
    return found


@pytest.fixture(scope="module")
def attempts():
    return run(attempt_all, RANKS, [*DIFFER, *FAIL])


@pytest.mark.parametrize("name", DIFFER)
def test_ranks_that_plan_differently_all_raise_and_name_the_odd_rank(attempts, name):
    for found in attempts:
        kind, text, untouched = found[name]
        assert kind == "RankError"
        assert untouched
        assert f"rank {ODD}" in text
        assert "b.weight" in text
        if name == "missing":
            assert f"b.weight, which is sharded, is missing or not on meta on rank {ODD}" in text
        else:
            assert f"ranks 0, 1, 3 and rank {ODD} differ" in text


@pytest.mark.parametrize("name", FAIL)
def test_a_rank_that_fails_makes_all_raise_with_its_error(attempts, name):
    own = "ValueError" if name == "refused_device" else "Failure"
    for rank, found in enumerate(attempts):
        kind, text, untouched = found[name]
        assert untouched
        assert kind == (own if rank == ODD else "RankError")
        if rank != ODD:
            assert f"rank {ODD} failed" in text
            assert ("got meta" if own == "ValueError" else "Failure: out of luck") in text


def materialize_with_more(rank):
    model = on_meta(Small)
    if rank % 2:
        model.own = on_meta(lambda: nn.Linear(3, 3))
    sharded(model, ignored_params=set(model.own.parameters()) if rank % 2 else set())
    tritoninit.materialize(model)
    return not any(tensor.is_meta for tensor in model.parameters())


def test_plain_tensors_of_its_own_are_a_ranks_own_affair():
    assert run(materialize_with_more, 2) == [True, True]


def groups_of_a_part(rank):
    """Errors of pairs of ranks, each its own mesh, and of a grid whose rows and columns talk."""
    grid = init_device_mesh("cpu", (2, 2), mesh_dim_names=("stage", "dp"))
    model = on_meta(Small)
    fully_shard(model, mesh=grid["dp"])
    pairs = error_of(model, seed=int(rank == ODD))
    collective.spans_world = lambda mesh: False
    model = on_meta(Small)
    fully_shard(model, mesh=grid)
    return pairs, error_of(model, init_fn=fail if is_odd() else None)


def error_of(model, **options):
    try:
        tritoninit.materialize(model, **options)
    except Exception as error:
        assert is_meta(model)
        return f"{type(error).__name__}: {error}"
    return None


def test_meshes_of_a_part_of_the_world():
    pairs, grids = zip(*run(groups_of_a_part, RANKS), strict=True)
    assert pairs[:2] == (None, None), "another stage's affair"
    for text in pairs[2:]:
        assert "a.weight: rank 2 and rank 3 differ" in text
    for rank, text in enumerate(grids):
        says = "Failure: out of luck" if rank == ODD else "RankError: rank 2 failed while planning"
        assert text.startswith(says)


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def left_behind(rank, where):
    """What the ranks that live on see: how long it took, the error, and their models."""
    model = sharded()
    options = {}
    if is_odd():
        if where == "planning":
            options = {"init_fn": die}
        else:
            schedule.write_parts = die
    start = time.monotonic()
    try:
        tritoninit.materialize(model, **options)
    except RuntimeError as error:
        return time.monotonic() - start, str(error), is_meta(model)
    return None


@pytest.mark.parametrize("where", ["planning", "filling"])
def test_killing_a_rank_ends_the_others_with_an_error(where):
    outcomes = launch(left_behind, RANKS, where, group_timeout=5)
    assert outcomes[ODD].exitcode == -signal.SIGKILL
    for outcome in outcomes:
        if outcome.rank != ODD:
            assert outcome.error is None
            seconds, text, untouched = outcome.value
            assert seconds < 15
            assert text
            assert untouched
