"""Xavier's and Kaiming's scales are those that torch.nn.init computes from the fans."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn.init import _calculate_correct_fan, _calculate_fan_in_and_fan_out

from tritoninit import Key, init

KEY = Key(5)
SHAPES = [(7, 3), (3, 7), (6, 2, 5), (2, 8, 3, 3)]


def uniform(shape, bound):
    return init.uniform_(torch.empty(shape), -bound, bound, generator=KEY)


def normal(shape, std):
    return init.normal_(torch.empty(shape), 0.0, std, generator=KEY)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("mode", ["fan_in", "fan_out"])
@pytest.mark.parametrize("nonlinearity", ["leaky_relu", "relu", "tanh", "selu"])
def test_kaiming(shape, mode, nonlinearity):
    tensor = torch.empty(shape)
    std = nn.init.calculate_gain(nonlinearity, 0.3) / math.sqrt(
        _calculate_correct_fan(tensor, mode)
    )
    options = {"a": 0.3, "mode": mode, "nonlinearity": nonlinearity, "generator": KEY}
    assert torch.equal(init.kaiming_normal_(tensor, **options), normal(shape, std))
    assert torch.equal(
        init.kaiming_uniform_(tensor, **options), uniform(shape, math.sqrt(3.0) * std)
    )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_xavier(shape):
    tensor = torch.empty(shape)
    std = 1.7 * math.sqrt(2.0 / sum(_calculate_fan_in_and_fan_out(tensor)))
    assert torch.equal(init.xavier_normal_(tensor, 1.7, generator=KEY), normal(shape, std))
    assert torch.equal(
        init.xavier_uniform_(tensor, 1.7, generator=KEY), uniform(shape, math.sqrt(3.0) * std)
    )
