"""Which orthogonal matrices are dealt out: a rule of the plan alone."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import tritoninit
from tests.distributed.models import on_meta
from tritoninit.ranks import owners
from tritoninit.ranks.owners import Matrix, costs, deal
from tritoninit.sharding import Sharding, Split

ROWS = Sharding((4,), (Split(0),), names=("dp",))


class Matrices(nn.Module):
    def __init__(self, count, size):
        super().__init__()
        self.layers = nn.ParameterList(nn.Parameter(torch.empty(size, size)) for _ in range(count))

    def reset_parameters(self):
        for matrix in self.layers:
            nn.init.orthogonal_(matrix)


def fills(count, size, sharding=ROWS):
    made = tritoninit.plan(on_meta(lambda: Matrices(count, size)))
    return [replace(fill, sharding=sharding) for fill in made.fills]


def test_matrices_are_dealt_in_turn():
    dealt = deal(fills(6, 1024))
    assert dealt == [Matrix(f"layers.{i}", 0, i % 4) for i in range(6)]


@pytest.mark.parametrize(
    ("count", "size", "ranks", "sent"),
    [
        (1, 4096, 8, False),  # to wait takes as long as to compute
        (2, 4096, 8, True),
        (64, 128, 8, False),  # computed before it is sent
        (64, 256, 8, False),
        (64, 512, 8, False),
        (64, 1024, 8, True),
        (64, 4096, 1, False),
    ],
)
def test_the_rule(count, size, ranks, sent):
    sharding = Sharding((ranks,), (Split(0),))
    dealt = deal(fills(count, size, sharding))
    assert len(dealt) == (count if sent else 0)


def test_plain_tensors_are_every_ranks_own():
    assert deal(fills(8, 1024, None)) == []


def test_the_order_of_the_model_does_not_matter():
    made = fills(9, 1024)
    assert deal(made) == deal(made[::-1])


def test_meshes_are_dealt_to_apart():
    first, second = fills(8, 1024), fills(8, 1024, Sharding((2,), (Split(0),), names=("ep",)))
    second = [replace(fill, name=f"experts.{fill.name}") for fill in second]
    by_name = {matrix.name: matrix.owner for matrix in deal([*first, *second])}
    assert [by_name[fill.name] for fill in first] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert [by_name[fill.name] for fill in second] == [0, 1, 0, 1, 0, 1, 0, 1]


def test_costs_are_what_the_docstring_says():
    compute, send = costs((1000, 10, 10), 2)
    assert compute == 15 * 1000 * 100 * 100
    assert send == 10**9 + 1000 * 1000 * 100 * 2
    assert owners.LATENCY == 10**9
