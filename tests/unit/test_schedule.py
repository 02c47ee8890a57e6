"""Tensors written together end as tensors written one by one."""

from __future__ import annotations

import random
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.distributed.models import Zoo, on_meta
from tests.unit.test_writing import SHARDINGS, Across
from tritoninit import schedule
from tritoninit.batch import Job, fill_many
from tritoninit.dtensor import parts_at
from tritoninit.plan import Apply, Fill, View, Write
from tritoninit.recipe import Constant, Normal, Orthogonal
from tritoninit.recording import record_model
from tritoninit.stream import Key
from tritoninit.writing import write_parts, write_whole


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[list[Job]]:
    """The host's tensors go in waves, as a GPU's do; the jobs of each, run in another order."""
    seen: list[list[Job]] = []

    def shuffled(jobs: list[Job]) -> None:
        seen.append(list(jobs))
        fill_many(random.Random(0).sample(jobs, len(jobs)))

    monkeypatch.setattr(schedule, "DEVICES", ("cpu",))
    monkeypatch.setattr(schedule, "fill_many", shuffled)
    return seen


def empty(fill: Fill) -> torch.Tensor:
    dtype = getattr(torch, fill.dtype)
    return torch.empty_strided(fill.shape, fill.strides, dtype=dtype).fill_(9)


@pytest.mark.parametrize("model", [Zoo, Across])
def test_whole_tensors(batches: list[list[Job]], model: type[nn.Module]) -> None:
    recording = record_model(on_meta(model))
    fills = recording.plan(Key(3)).fills
    one_by_one, together = [[empty(fill) for fill in fills] for _ in range(2)]
    for fill, tensor in zip(fills, one_by_one, strict=True):
        write_whole(fill, tensor, recording.sources)
    done: list[int] = []
    schedule.write_all(zip(fills, together, strict=True), recording.sources, done.append)
    for fill, a, b in zip(fills, one_by_one, together, strict=True):
        assert torch.equal(a, b), fill.name
    assert sum(done) == sum(fill.nbytes for fill in fills)
    assert len(batches) > 1


@pytest.mark.parametrize("sharding", SHARDINGS, ids=str)
@pytest.mark.usefixtures("batches")
def test_parts_of_tensors(sharding: object) -> None:
    splits = [split for split in sharding.placements if split]
    for model in (Zoo, Across):
        recording = record_model(on_meta(model))
        fills = [
            fill
            for fill in recording.plan(Key(3)).fills
            if all(split.dim < len(fill.shape) for split in splits)
        ]
        for rank in range(sharding.ranks):
            at = sharding.coordinate(rank)
            results = []
            for write_all in (False, True):
                dtypes = [getattr(torch, fill.dtype) for fill in fills]
                local = [
                    torch.full(sharding.local_shape(fill.shape, at), 9.0, dtype=dtype)
                    for fill, dtype in zip(fills, dtypes, strict=True)
                ]
                held = [
                    (fill, parts_at(tensor, sharding, fill.shape, at))
                    for fill, tensor in zip(fills, local, strict=True)
                ]
                if write_all:
                    schedule.write_all(held, recording.sources, lambda _: None)
                else:
                    for fill, parts in held:
                        write_parts(fill, parts, recording.sources)
                results.append(local)
            for fill, a, b in zip(fills, *results, strict=True):
                assert torch.equal(a, b), (fill.name, at)


SIZE = 12
views = st.tuples(st.integers(0, SIZE - 1), st.integers(1, SIZE), st.integers(1, 3)).map(
    lambda given: View((min(given[1], -(-(SIZE - given[0]) // given[2])),), (given[2],), given[0])
)
recipes = st.one_of(
    st.integers(1, 99).map(lambda value: Constant(float(value))),
    st.just(Apply("mul_.Tensor", (2.0,))),
    st.just(Apply("add_.Tensor", (1.0,))),
)
writes = st.lists(st.builds(Write, recipes, st.none() | views), min_size=1, max_size=6)


@given(st.lists(writes, min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_writes_of_a_tensor_keep_their_order(tensors: list[list[Write]]) -> None:
    def shuffled(jobs: list[Job]) -> None:
        fill_many(random.Random(len(jobs)).sample(jobs, len(jobs)))

    fills = [
        Fill(str(n), (), "buffer", (SIZE,), (1,), "float32", 4, tuple(writes), "")
        for n, writes in enumerate(tensors)
    ]
    expected, found = [[torch.zeros(SIZE) for _ in fills] for _ in range(2)]
    for fill, tensor in zip(fills, expected, strict=True):
        write_whole(fill, tensor, {})
    with (
        mock.patch.object(schedule, "DEVICES", ("cpu",)),
        mock.patch.object(schedule, "fill_many", shuffled),
    ):
        schedule.write_all(zip(fills, found, strict=True), {}, lambda _: None)
    for a, b in zip(expected, found, strict=True):
        assert torch.equal(a, b)


class Padded(nn.Module):
    """Embeddings with a padding row, norms, a projection in chunks, orthogonal matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Embedding(9, 4, padding_idx=3) for _ in range(5))
        self.norm = nn.LayerNorm(4)
        self.projection = nn.Parameter(torch.empty(12, 4))
        self.matrices = nn.ParameterList(nn.Parameter(torch.empty(4, 4)) for _ in range(3))

    @torch.no_grad()
    def reset_parameters(self) -> None:
        for chunk in self.projection.chunk(3):
            nn.init.normal_(chunk)
        for matrix in self.matrices:
            nn.init.orthogonal_(matrix)


def test_what_shares_a_batch(batches: list[list[Job]]) -> None:
    recording = record_model(on_meta(Padded))
    fills = recording.plan(Key(0)).fills
    tensors = [empty(fill) for fill in fills]
    schedule.write_all(zip(fills, tensors, strict=True), recording.sources, lambda _: None)
    kinds = [[type(job.recipe) for job in jobs] for jobs in batches]
    first, second = (
        [kinds.count(kind) for kind in (Normal, Orthogonal, Constant)] for kinds in kinds
    )
    assert first == [5 + 3, 3, 0]
    assert second == [0, 0, 5 + 2]
