"""What a rank holds: torch's own layouts are the oracle."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Replicate, Shard, distribute_tensor
from torch.distributed.tensor._utils import _compute_local_shape_and_global_offset
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    parallelize_module,
)
from torch.distributed.tensor.placement_types import _StridedShard

from tests.distributed.fake import fake_mesh, fake_rank
from tritoninit.dtensor import coordinate_of, sharding_of
from tritoninit.sharding import Sharding, Split

R, S, SS = Replicate(), Shard, _StridedShard
EVEN_STRIDED = [
    ((8, 3), (2, 2), (SS(0, split_factor=2), S(0))),
    ((24,), (2, 3, 2), (SS(0, split_factor=6), S(0), S(0))),
    ((24, 2), (4, 3, 2), (SS(0, split_factor=2), SS(0, split_factor=2), S(0))),
    ((4, 12), (2, 2, 3), (SS(1, split_factor=3), R, S(1))),
]
UNDECODABLE = [
    ((12, 2), (2,), (SS(0, split_factor=3),)),
    ((17,), (2, 3), (SS(0, split_factor=4), S(0))),
    ((5, 11), (3, 2), (S(1), SS(1, split_factor=2))),
    ((2,), (2, 2), (SS(0, split_factor=5), S(0))),
]
LAYOUTS = [
    ((8, 6), (4,), (S(0),)),
    ((7, 3), (4,), (S(0),)),
    ((2, 3), (4,), (S(0),)),
    ((0, 3), (2,), (S(0),)),
    ((5, 7, 2), (3,), (S(1),)),
    ((5, 7), (3,), (R,)),
    ((), (2,), (R,)),
    ((10, 7), (2, 3), (S(0), S(1))),
    ((10, 7), (2, 3), (S(1), S(0))),
    ((10, 7), (2, 3), (R, S(1))),
    ((9, 4), (2, 3), (S(0), S(0))),
    ((5, 4), (2, 4), (S(0), S(0))),
    ((3, 5, 9), (2, 2, 3), (S(2), R, S(2))),
    *EVEN_STRIDED,
    *UNDECODABLE,
]


def sharding(mesh, placements, **kwargs):
    splits = tuple(
        None if p.is_replicate() else Split(p.dim, getattr(p, "split_factor", 1))
        for p in placements
    )
    return Sharding(tuple(mesh), splits, **kwargs)


def held(whole, ranges):
    """The elements of ``whole`` that these ranges name."""
    for dim, pieces in enumerate(ranges):
        indices = [i for start, stop in pieces for i in range(start, stop)]
        whole = whole.index_select(dim, torch.tensor(indices, dtype=torch.int64))
    return whole


def arange(shape):
    return torch.arange(math.prod(shape)).reshape(shape)


@pytest.mark.parametrize(("shape", "mesh", "placements"), LAYOUTS, ids=str)
def test_every_rank_holds_what_distribute_tensor_gives_it(shape, mesh, placements):
    ours = sharding(mesh, placements)
    for rank in range(ours.ranks):
        with fake_rank(rank, ours.ranks):
            tensor = distribute_tensor(
                arange(shape), fake_mesh(mesh), placements, src_data_rank=None
            )
            coordinate = coordinate_of(tensor)
            assert replace(sharding_of(tensor), names=()) == ours
        assert ours.coordinate(rank) == coordinate
        ranges = ours.ranges(shape, coordinate)
        assert torch.equal(held(arange(shape), ranges), tensor._local_tensor)
        assert ours.local_shape(shape, coordinate) == tuple(tensor._local_tensor.shape)


UNEVEN_STRIDED = [(7, 3, 2), (27, 3, 4), (20, 3, 3), (9, 4, 2), (11, 5, 2), (38, 4, 4), (3, 4, 2)]


@pytest.mark.parametrize(("rows", "dp", "tp"), [*UNEVEN_STRIDED, (64, 4, 4), (5, 2, 2)])
@pytest.mark.parametrize("style", [ColwiseParallel, RowwiseParallel])
def test_every_rank_holds_what_fsdp_over_tensor_parallelism_gives_it(rows, dp, tp, style):
    """Values and all: FSDP2 slices local memory, so a fake process group shows what it holds."""
    colwise = style is ColwiseParallel
    shape = (rows, 2) if colwise else (rows, tp + 1)
    ranks = dp * tp
    seen = torch.zeros(shape, dtype=torch.int64)
    for rank in range(ranks):
        with fake_rank(rank, ranks):
            mesh = fake_mesh((dp, tp))
            linear = torch.nn.Linear(shape[1], shape[0], bias=False)
            with torch.no_grad():
                linear.weight.copy_(arange(shape))
            parallelize_module(linear, mesh["m1"], style(), src_data_rank=None)
            fully_shard(linear, mesh=mesh["m0"])
            weight = linear.weight
            ours = sharding_of(weight)
            coordinate = coordinate_of(weight)
            if colwise:
                placed = weight.placements
                assert placed == (SS(0, split_factor=tp), S(0))
                replicated = distribute_tensor(arange(shape), mesh, (R, R), src_data_rank=None)
                assert torch.equal(
                    replicated.redistribute(placements=placed)._local_tensor, weight._local_tensor
                )
        assert coordinate == ours.coordinate(rank)
        local = held(arange(shape), ours.ranges(shape, coordinate))
        actual = weight._local_tensor.long()
        # FSDP2 gives a part without elements the sizes (0, 0), whatever it is empty of.
        assert torch.equal(local, actual) or local.numel() == actual.numel() == 0
        seen.view(-1)[local.flatten()] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize(("rows", "dp", "tp"), UNEVEN_STRIDED[:6])
def test_left_to_right_is_another_layout_where_sizes_are_uneven(rows, dp, tp):
    """That of ``distribute_tensor``; ``order`` names it.  FSDP2's is the default (see above)."""
    placements = (SS(0, split_factor=tp), S(0))
    decoded = sharding((dp, tp), placements)
    literal = sharding((dp, tp), placements, order=(0, 1))
    differ = 0
    for rank in range(dp * tp):
        at = decoded.coordinate(rank)
        with fake_rank(rank, dp * tp):
            tensor = distribute_tensor(
                torch.arange(rows), fake_mesh((dp, tp)), placements, src_data_rank=None
            )
        assert torch.equal(
            held(torch.arange(rows), literal.ranges((rows,), at)), tensor._local_tensor
        )
        differ += decoded.ranges((rows,), at) != literal.ranges((rows,), at)
    assert differ


@pytest.mark.parametrize(("shape", "mesh", "placements"), LAYOUTS, ids=str)
def test_sizes_and_offsets_are_those_of_torchs_own_arithmetic(shape, mesh, placements):
    ours = sharding(mesh, placements)
    for rank in range(ours.ranks):
        at = ours.coordinate(rank)
        sizes, offset = _compute_local_shape_and_global_offset(shape, mesh, list(at), placements)
        assert ours.local_shape(shape, at) == sizes
        if 0 not in sizes:
            assert tuple(pieces[0][0] for pieces in ours.ranges(shape, at)) == offset


def test_an_explicit_order_is_torchs_shard_order():
    """Mesh dimension 1 splits first, as its shard_order ((0, (1, 0)),) says."""
    ours = Sharding((2, 3), (Split(0), Split(0)), order=(1, 0))
    for rank, at in enumerate(itertools.product(range(2), range(3))):
        outer = torch.arange(13).chunk(3)[at[1]]
        assert ours.coordinate(rank) == at
        assert torch.equal(held(torch.arange(13), ours.ranges((13,), at)), outer.chunk(2)[at[0]])


@st.composite
def layouts(draw):
    shape = tuple(draw(st.lists(st.integers(0, 13), max_size=3)))
    mesh = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    dim = st.integers(0, len(shape) - 1) if shape else st.nothing()
    split = st.none() | st.builds(Split, dim, st.sampled_from([1, 1, 1, 2, 3, 4]))
    placements = tuple(draw(st.lists(split, min_size=len(mesh), max_size=len(mesh))))
    order = draw(st.none() | st.permutations(range(len(mesh))).map(tuple))
    return shape, Sharding(mesh, placements, order)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(layouts())
def test_the_parts_of_all_ranks_cover_every_element_equally(layout):
    shape, ours = layout
    counts, primary = torch.zeros(2, *shape, dtype=torch.int64)
    for rank in range(ours.ranks):
        at = ours.coordinate(rank)
        local = held(arange(shape), ours.ranges(shape, at))
        assert tuple(local.shape) == ours.local_shape(shape, at)
        counts.view(-1)[local.flatten()] += 1
        if ours.is_primary(at):
            primary.view(-1)[local.flatten()] += 1
        copied = torch.full_like(local, -1)
        for box in ours.boxes(shape, at):
            mine = tuple(slice(o, o + n) for o, n in zip(box.local, box.sizes, strict=True))
            theirs = tuple(slice(o, o + n) for o, n in zip(box.offset, box.sizes, strict=True))
            assert (copied[mine] == -1).all()
            copied[mine] = arange(shape)[theirs]
        assert torch.equal(copied, local)
    assert (counts == ours.replicas).all()
    assert (primary == 1).all()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(layouts())
def test_ranges_are_sorted_out_and_joined(layout):
    shape, ours = layout
    for rank in range(ours.ranks):
        for size, pieces in zip(shape, ours.ranges(shape, ours.coordinate(rank)), strict=True):
            assert all(0 <= start <= stop <= size for start, stop in pieces)
            assert all(a[1] != b[0] for a, b in itertools.pairwise(pieces))


def test_a_rank_of_thousands_is_described_at_once():
    ours = Sharding((2, 512, 8), (None, Split(0, 8), Split(0)))
    assert (ours.ranks, ours.replicas) == (8192, 2)
    at = ours.coordinate(8191)
    assert at == (1, 511, 7)
    assert not ours.is_primary(at)
    assert ours.ranges((8 * 512 * 3,), at) == ([(8 * 512 * 3 - 3, 8 * 512 * 3)],)


def test_the_text_is_that_of_the_placements():
    assert str(Sharding((2, 2, 2), (None, Split(0, 2), Split(0)))) == (
        "(Replicate(), StridedShard(0, split_factor=2), Shard(0))"
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (((2, 2), (None,)), "placements must name one placement .* 2 dimensions, got 1"),
        (((0,), (None,)), r"mesh sizes must be at least 1, got \(0,\)"),
        (((2,), (Split(0, 0),)), "split factors must be at least 1"),
        (((2, 2), (None, None), (0, 0)), r"permutation of the 2 mesh dimensions, got \(0, 0\)"),
    ],
)
def test_what_is_no_layout_is_refused(arguments, text):
    with pytest.raises(ValueError, match=text):
        Sharding(*arguments)


@pytest.mark.parametrize("rank", [-1, 6])
def test_a_rank_outside_the_mesh_is_refused(rank):
    with pytest.raises(ValueError, match=rf"rank must lie in \[0, 6\) .* got {rank}"):
        Sharding((2, 3), (None, None)).coordinate(rank)


@pytest.mark.parametrize("dim", [-1, 2])
def test_a_split_of_a_dimension_that_is_not_there_is_refused(dim):
    with pytest.raises(ValueError, match=rf"splits dimension {dim} of shape \(3, 4\)"):
        Sharding((2,), (Split(dim),)).ranges((3, 4), (0,))
