"""Inside ``patch()`` torch.nn.init is tritoninit.init."""

from __future__ import annotations

import inspect
import threading
import warnings
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.init import kaiming_normal_ as imported_before

import tritoninit
from tritoninit import Key, init
from tritoninit.init.exchange import exchanged, untouched

bound = partial(nn.init.normal_, std=0.02)
CALLS = {
    "uniform_": ((-1.0, 2.0), (8, 6)),
    "normal_": ((0.5, 0.02), (8, 6)),
    "trunc_normal_": ((0.0, 1.0, -1.0, 2.0), (8, 6)),
    "constant_": ((0.3,), (8, 6)),
    "ones_": ((), (8, 6)),
    "zeros_": ((), (8, 6)),
    "eye_": ((), (8, 6)),
    "dirac_": ((2,), (8, 3, 3)),
    "xavier_uniform_": ((1.5,), (8, 6)),
    "xavier_normal_": ((1.5,), (8, 6)),
    "kaiming_uniform_": ((0.1,), (8, 6)),
    "kaiming_normal_": ((0.1,), (8, 6)),
    "orthogonal_": ((2.0,), (8, 6)),
    "sparse_": ((0.3,), (8, 6)),
}


def drawn(function, *args, shape=(8, 6)):
    torch.manual_seed(7)
    return function(torch.full(shape, float("nan")), *args)


@pytest.mark.parametrize("name", CALLS)
def test_every_function(name):
    args, shape = CALLS[name]
    expected = drawn(getattr(init, name), *args, shape=shape)
    before = drawn(getattr(nn.init, name), *args, shape=shape)
    with tritoninit.patch():
        assert torch.equal(drawn(getattr(nn.init, name), *args, shape=shape), expected)
    assert torch.equal(drawn(getattr(nn.init, name), *args, shape=shape), before)


def test_references_aliases_and_modules():
    with tritoninit.patch():
        assert torch.equal(drawn(imported_before), drawn(init.kaiming_normal_))
        assert torch.equal(drawn(bound), drawn(init.normal_, 0.0, 0.02))
        with pytest.warns(FutureWarning, match="deprecated"):
            found = drawn(nn.init.xavier_normal)
        assert torch.equal(found, drawn(init.xavier_normal_))
        private = drawn(nn.init._no_grad_trunc_normal_, 0.0, 1.0, -2.0, 2.0)
        assert torch.equal(private, drawn(init.trunc_normal_))
        torch.manual_seed(3)
        layer = nn.Linear(6, 8)
    torch.manual_seed(3)
    assert torch.equal(layer.weight, init.kaiming_uniform_(torch.empty(8, 6), a=5**0.5))


def test_keys_and_errors_are_ours():
    key = Key(1)
    with tritoninit.patch():
        found = nn.init.normal_(torch.empty(5), generator=key)
        with pytest.raises(ValueError, match=r"finite std > 0, got std=0\.0"):
            nn.init.trunc_normal_(torch.empty(5), std=0.0)
        for name in ("trunc_normal_", "orthogonal_", "uniform_"):
            with pytest.raises(RuntimeError, match="not implemented"):
                getattr(nn.init, name)(torch.empty(3, 3, dtype=torch.int64))
    assert torch.equal(found, init.normal_(torch.empty(5), generator=key))


def test_signatures_are_those_of_torch():
    def parameters():
        return [inspect.signature(getattr(nn.init, name)).parameters for name in CALLS]

    before = parameters()
    with tritoninit.patch():
        assert parameters() == before
    assert parameters() == before


def test_an_error_inside_ends_it():
    before = nn.init.normal_.__code__
    with pytest.raises(ValueError, match="finite std"), tritoninit.patch():
        nn.init.trunc_normal_(torch.empty(5), std=0.0)
    assert nn.init.normal_.__code__ is before
    assert untouched(nn.init.normal_) is nn.init.normal_


def test_nested_and_under_record():
    with tritoninit.patch():
        with tritoninit.patch():
            pass
        assert torch.equal(drawn(nn.init.normal_), drawn(init.normal_))
        with tritoninit.record():
            model = nn.Linear(4, 3)
        tritoninit.materialize(model, "cpu")
        assert torch.equal(drawn(nn.init.normal_), drawn(init.normal_))
    with tritoninit.record(), tritoninit.patch():
        other = nn.Linear(4, 3)
    tritoninit.materialize(other, "cpu")
    assert torch.equal(model.weight, other.weight)


def test_exchanges_end_in_any_order():
    def function(x):
        return x

    first = exchanged([(function, lambda inner: lambda x: inner(x) + 1)])
    second = exchanged([(function, lambda inner: lambda x: inner(x) * 10)])
    first.__enter__()
    second.__enter__()
    assert function(2) == 30
    first.__exit__(None, None, None)
    assert function(2) == 20
    second.__exit__(None, None, None)
    assert function(2) == 2


def test_it_holds_in_other_threads():
    found = []
    with tritoninit.patch():
        thread = threading.Thread(
            target=lambda: found.append(nn.init.normal_(torch.empty(4), generator=Key(2)))
        )
        thread.start()
        thread.join()
    assert torch.equal(found[0], init.normal_(torch.empty(4), generator=Key(2)))


def test_warnings_are_those_of_torch():
    with warnings.catch_warnings(record=True) as caught, tritoninit.patch():
        warnings.simplefilter("always")
        nn.init.kaiming_normal_(torch.empty(0, 3))
    assert ["zero-element" in str(warning.message) for warning in caught] == [True]
