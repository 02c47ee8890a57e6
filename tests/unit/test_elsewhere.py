"""Random numbers that init code takes from Python's and numpy's generators."""

import random

import numpy as np
import pytest
import torch
from torch import nn

import tritoninit
from tests.unit.models import Holder
from tritoninit import Key
from tritoninit.recording.elsewhere import seeded


def drawn(seed):
    def code(w):
        w.copy_(torch.from_numpy(np.random.randn(*w.shape)))
        w[0].fill_(random.random())

    with torch.device("meta"):
        model = Holder(code)
    tritoninit.materialize(model, "cpu", seed)
    return model.weight.detach()


def test_they_follow_from_the_seed():
    assert torch.equal(drawn(1), drawn(1))
    assert not drawn(1).eq(drawn(2)).any()


def test_they_go_on_as_if_nothing_had_been():
    def states():
        _, words, *rest = np.random.get_state()
        return random.getstate(), words.tolist(), rest

    before = states()
    drawn(1)
    assert states() == before
    with pytest.raises(ZeroDivisionError):
        tritoninit.plan(Holder(lambda _: 1 / 0))
    assert states() == before


def test_another_bit_generator_of_numpy_is_left_alone():
    before = np.random.get_bit_generator()
    try:
        np.random.set_bit_generator(np.random.PCG64(3))
        expected = np.random.Generator(np.random.PCG64(3)).bit_generator.state
        with seeded(Key(1)):
            pass
        assert np.random.get_bit_generator().state == expected
        tritoninit.plan(nn.Linear(2, 2, device="meta"))
    finally:
        np.random.set_bit_generator(before)
