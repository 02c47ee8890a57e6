"""Plans carried out on parts of a tensor: the bits of the whole."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import tritoninit
from tests.distributed.models import Net, Zoo, on_meta
from tritoninit.dtensor import parts_at
from tritoninit.recording import record_model
from tritoninit.sharding import Sharding, Split
from tritoninit.stream import Key
from tritoninit.writing import is_local, write_parts, write_whole

SHARDINGS = [
    Sharding((4,), (Split(0),)),
    Sharding((3, 2), (Split(0), Split(1))),
    Sharding((2, 3), (Split(0, 3), Split(0))),  # FSDP2 over tensor parallelism
    Sharding((2, 3), (Split(0, 3), Split(0)), order=(0, 1)),  # boxes that interleave
]


def written(fill, sharding, sources, at):
    """The part of a rank, in memory that begins as NaN."""
    local = torch.full(sharding.local_shape(fill.shape, at), float("nan"))
    write_parts(fill, parts_at(local, sharding, fill.shape, at), sources)
    return local


def picked(whole, sharding, at):
    for dim, held in enumerate(sharding.ranges(tuple(whole.shape), at)):
        index = [i for start, stop in held for i in range(start, stop)]
        whole = whole.index_select(dim, torch.tensor(index, dtype=torch.long))
    return whole


@pytest.mark.parametrize("sharding", SHARDINGS, ids=str)
def test_parts_are_those_of_the_whole(sharding):
    recording = record_model(on_meta(Zoo))
    checked = 0
    for fill in recording.plan(Key(3)).fills:
        splits = [split for split in sharding.placements if split]
        if fill.dtype != "float32" or any(split.dim >= len(fill.shape) for split in splits):
            continue
        whole = torch.full(fill.shape, float("nan"))
        write_whole(fill, whole, recording.sources)
        for rank in range(sharding.ranks):
            at = sharding.coordinate(rank)
            local = written(fill, sharding, recording.sources, at)
            assert torch.equal(local, picked(whole, sharding, at)), (fill.name, at)
            checked += 1
    assert checked > 80


class Across(nn.Module):
    """Views and operations that need the whole tensor."""

    def __init__(self):
        super().__init__()
        self.diagonal = nn.Parameter(torch.empty(6, 6))
        self.reshaped = nn.Parameter(torch.empty(6, 4))
        self.summed = nn.Parameter(torch.empty(6, 4))
        self.chained = nn.Parameter(torch.empty(6, 4))
        self.flat = nn.Parameter(torch.empty(6, 4))

    @torch.no_grad()
    def reset_parameters(self):
        nn.init.normal_(self.diagonal)
        self.diagonal.diagonal().fill_(1)
        nn.init.orthogonal_(self.reshaped.view(3, 2, 4))
        self.summed.uniform_().cumsum_(0)
        self.chained.normal_().mul_(2).neg_()
        self.flat.view(-1).uniform_()


def test_what_can_be_written_part_by_part():
    recording = record_model(on_meta(Across))
    local = {fill.name: is_local(fill) for fill in recording.plan(Key(0)).fills}
    assert local == {
        "diagonal": False,
        "reshaped": False,
        "summed": False,
        "chained": True,
        "flat": True,
    }


@pytest.mark.parametrize("sharding", SHARDINGS, ids=str)
def test_what_cannot_is_computed_whole(sharding):
    recording = record_model(on_meta(Across))
    for fill in recording.plan(Key(0)).fills:
        whole = torch.empty(fill.shape)
        write_whole(fill, whole, recording.sources)
        for rank in range(sharding.ranks):
            at = sharding.coordinate(rank)
            local = written(fill, sharding, recording.sources, at)
            assert torch.equal(local, picked(whole, sharding, at)), (fill.name, at)


def test_a_rank_without_a_part_computes_nothing():
    fill = tritoninit.plan(on_meta(Net)).fills[0]
    broken = replace(fill, dtype="no dtype", writes=())
    write_parts(broken, [], {})
    empty = parts_at(torch.empty(0, 24), Sharding((99,), (Split(0),)), fill.shape, (98,))
    write_parts(broken, empty, {})
