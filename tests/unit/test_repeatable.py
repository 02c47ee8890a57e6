"""Tests draw the same whatever ran before them."""

import pytest
import torch
from hypothesis import settings


@pytest.mark.parametrize("again", [0, 1])
def test_every_test_begins_with_the_same_generator(again):
    drawn = torch.rand(3)
    torch.rand(again + 1)  # would move the next test's draws
    assert torch.equal(drawn, torch.rand(3, generator=torch.Generator().manual_seed(20261124)))


def test_examples_are_fixed():
    assert settings.default.derandomize
    assert settings.default.deadline is settings.default.database is None
