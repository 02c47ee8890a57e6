"""The short way of whole GPU tensors, on host memory with a backend that records."""

from types import SimpleNamespace

import pytest
import torch

from tritoninit import Key, init, launched
from tritoninit.backends import triton_whole
from tritoninit.layout import DENSE, dense_keys, is_whole
from tritoninit.ready import ready
from tritoninit.recipe import Dirac, Eye, Normal, Orthogonal, Sparse

KEY = Key(3, 2**63)


@pytest.fixture
def calls(monkeypatch):
    """Host tensors pass for CUDA tensors; what the backend is asked to fill."""
    made = []

    class Recording(triton_whole.Launches):
        takes = True

        def fill(self, out, size, seed, offset):
            assert size == out.numel()
            made.append((out, self.shaped, self.recipe, Key(seed, offset), self.dtype.value))
            return self.takes

    monkeypatch.setattr(triton_whole, "Launches", Recording)
    monkeypatch.setattr(init.call, "fill_at_once", launched.fill_by_launch)
    init.call._checked.clear()
    ready.cache_clear()
    yield SimpleNamespace(made=made, backend=Recording)
    init.call._checked.clear()
    ready.cache_clear()


def fill_by_launch(tensor, recipe, generator):
    made = ready(recipe, tensor.dtype)
    return is_whole(tensor) and launched.fill_by_launch(tensor, made, generator)


def test_the_dispatch_keys_are_spelled_as_torch_spells_them():
    keys = torch._C._dispatch_keys(torch.empty(0, device="cpu")).raw_repr()
    assert {keys, dense_keys("CUDA")} == DENSE
    assert keys == dense_keys("CPU") != dense_keys("CUDA")


def test_one_call_is_one_launch_one_draw_and_one_version(calls):
    tensor = torch.empty(3, 5)
    version = tensor._version
    torch.manual_seed(0)
    assert init.normal_(tensor, std=0.02) is tensor
    after = torch.get_rng_state()
    assert tensor._version == version + 1
    [(out, shaped, recipe, key, dtype)] = calls.made
    assert out is tensor
    assert (shaped, recipe, dtype) == (False, Normal(0.0, 0.02), "float32")
    torch.manual_seed(0)
    word = torch.empty(1, dtype=torch.int64).random_(-(2**63), None)
    assert key == Key(int(word) % 2**64, 2**63)
    assert torch.equal(torch.get_rng_state(), after)


def test_patterns_are_given_their_shape(calls):
    assert fill_by_launch(torch.empty(3, 5), Eye(), KEY)
    assert fill_by_launch(torch.empty(4, 2, 3, dtype=torch.bfloat16), Dirac(2), KEY)
    assert [call[1:3] for call in calls.made] == [(True, Eye()), (True, Dirac(2))]


def test_what_the_backend_declines_is_filled_all_the_same_under_one_draw(calls):
    calls.backend.takes = False
    torch.manual_seed(0)
    declined = init.uniform_(torch.empty(7, 3))
    assert len(calls.made) == 1
    torch.manual_seed(0)
    calls.backend.takes = True
    assert torch.equal(
        declined, init.uniform_(torch.empty(7, 3), global_shape=(7, 3), global_offset=(0, 0))
    )
    assert len(calls.made) == 1


@pytest.mark.parametrize(
    ("tensor", "recipe"),
    [
        (torch.empty(4, 4).t()[1:], Normal(0.0, 1.0)),
        (torch.empty(4, 4, dtype=torch.int32), Normal(0.0, 1.0)),
        (torch.empty(4, 4, dtype=torch.complex64), Normal(0.0, 1.0)),
        (torch.empty(4, 4, device="meta"), Normal(0.0, 1.0)),
        (torch.empty(4, 1).expand(4, 4), Normal(0.0, 1.0)),
        (torch._neg_view(torch.empty(4, 4)), Normal(0.0, 1.0)),
        (torch.empty(4, 4), Sparse(0.5, 0.01)),
        (torch.empty(4, 4), Orthogonal(1.0)),
    ],
)
def test_everything_else_is_left_alone(calls, tensor, recipe):
    assert not fill_by_launch(tensor, recipe, KEY)
    with torch.inference_mode():
        assert not fill_by_launch(torch.empty(4), Normal(0.0, 1.0), KEY)
    assert calls.made == []


def test_freed_memory_is_left_alone(calls):
    tensor = torch.empty(4, 4)
    tensor.untyped_storage().resize_(0)
    assert not fill_by_launch(tensor, Normal(0.0, 1.0), KEY)
    with pytest.raises(RuntimeError, match="freed"):
        init.normal_(tensor)
    assert calls.made == []
