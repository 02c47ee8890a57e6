"""What materialize leaves as it was: objects, real tensors, generators, and the model on errors."""

import gc
import logging
import math

import pytest
import torch
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

import tritoninit
from tests.unit.models import on_meta, tensors_of
from tritoninit import Key
from tritoninit.demo_model import Rotary, inverse_frequencies
from tritoninit.recipe import Uniform
from tritoninit.recording import RecordError


def test_parameters_stay_the_same_objects_with_attributes_hooks_and_optimizer():
    model = on_meta(lambda: nn.Linear(3, 2))
    weight = model.weight
    weight.no_weight_decay = True
    calls = []
    weight.register_hook(lambda grad: calls.append("grad"))
    handle = weight.register_post_accumulate_grad_hook(lambda p: calls.append("accumulated"))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    tritoninit.materialize(model, "cpu")
    assert model.weight is weight
    assert type(weight) is nn.Parameter
    assert weight.no_weight_decay
    before = weight.detach().clone()
    model(torch.ones(1, 3)).sum().backward()
    assert calls == ["grad", "accumulated"]
    optimizer.step()
    assert torch.equal(weight.detach(), before - 1)
    handle.remove()
    weight.sum().backward()
    assert calls == ["grad", "accumulated", "grad"]


def test_classes_and_attributes_that_init_code_sets_survive():
    class Expert(nn.Parameter):
        pass

    class Module(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = Expert(torch.empty(3))
            self.alias = self.weight

        def reset_parameters(self):
            assert isinstance(self.weight, Expert)
            nn.init.ones_(self.weight)
            self.weight.requires_grad_(False)
            self.weight.written = True
            self.bound = 2.5

    model = on_meta(Module)
    tritoninit.plan(model)
    assert not hasattr(model, "bound")
    assert not hasattr(model.weight, "written")
    assert model.weight.requires_grad
    tritoninit.materialize(model, "cpu")
    assert type(model.weight) is Expert
    assert model.alias is model.weight
    assert (model.weight.written, model.weight.requires_grad, model.bound) == (True, False, 2.5)


def test_an_object_that_cannot_be_kept_is_bound_anew_and_logged(caplog):
    model = on_meta(lambda: nn.LSTM(3, 4))  # holds weak references to its weights
    with caplog.at_level(logging.WARNING, logger="tritoninit"):
        tritoninit.materialize(model, "cpu")
    assert "weight_ih_l0, weight_hh_l0" in caplog.text
    assert model._flat_weights[0] is model.weight_ih_l0
    output, _ = model(torch.ones(1, 1, 3))
    assert output.isfinite().all()


def test_buffers_assigned_by_init_code_are_copied():
    class Frequencies(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("table", torch.empty(4), persistent=False)

        def init_weights(self):
            self.table = torch.arange(4.0, device="cpu")

    model = on_meta(Frequencies)
    table = model.table
    tritoninit.materialize(model, "cpu")
    assert model.table is table
    assert torch.equal(table, torch.arange(4.0))


class Forgotten(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.empty(4, 4))
        self.linear = nn.Linear(2, 2)
        self.register_buffer("mask", torch.empty(3), persistent=False)


def test_tensors_without_a_recipe_are_named_and_nothing_is_touched(monkeypatch):
    model = on_meta(lambda: nn.Sequential(Forgotten()))
    before = tensors_of(model)
    allocated = []
    empty_strided = torch.empty_strided
    monkeypatch.setattr(
        torch,
        "empty_strided",
        lambda *a, **k: allocated.append(str(k["device"])) or empty_strided(*a, **k),
    )
    with pytest.raises(RecordError) as raised:
        tritoninit.materialize(model, "cpu")
    message = str(raised.value)
    assert message.startswith("2 tensors have no recipe:")
    assert "0.scale (parameter of Forgotten, [4, 4], float32): nothing fills it" in message
    assert "0.mask (buffer of Forgotten, [3], float32): nothing fills it" in message
    assert "linear" not in message
    assert "reset_parameters() that fills them, or pass init_fn" in message
    assert set(allocated) == {"meta"}
    assert all(tensors_of(model)[name] is tensor for name, tensor in before.items())
    assert all(tensor.is_meta for tensor in before.values())


def test_an_exception_in_init_code_leaves_the_model_as_it_was():
    class Failing(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(2, 2)
            self.register_buffer("table", torch.empty(3), persistent=False)

        def reset_parameters(self):
            self.flag = True
            self.table = torch.zeros(3, device="cpu")
            self.linear.weight = nn.Parameter(torch.ones(2, 2, device="cpu"))
            self.extra = nn.Identity()
            raise ZeroDivisionError("in init code")

    model = on_meta(Failing)
    before = tensors_of(model)
    attributes = dict(vars(model))
    with pytest.raises(ZeroDivisionError, match="in init code") as raised:
        tritoninit.materialize(model, "cpu")
    if hasattr(raised.value, "__notes__"):
        assert raised.value.__notes__ == [
            "while tritoninit ran reset_parameters of the model (Failing) on meta tensors"
        ]
    assert vars(model) == attributes
    after = tensors_of(model)
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)
    assert model._non_persistent_buffers_set == {"table"}


def test_changes_of_structure_are_refused():
    class Growing(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.empty(2))

        def reset_parameters(self):
            nn.init.ones_(self.weight)
            self.bias = nn.Parameter(torch.zeros(2))

    model = on_meta(Growing)
    with pytest.raises(RecordError, match=r"structure of the model \(Growing\).*'bias'"):
        tritoninit.plan(model)
    assert [name for name, _ in model.named_parameters()] == ["weight"]


def test_the_global_generators_are_untouched():
    model = on_meta(lambda: nn.Sequential(nn.Linear(30, 40), nn.MultiheadAttention(8, 2)))
    torch.manual_seed(1)
    before = torch.get_rng_state()

    def init_fn(module):
        torch.manual_seed(0)
        for tensor in module.parameters(recurse=False):
            nn.init.normal_(tensor)

    tritoninit.plan(model)
    tritoninit.plan(model, init_fn=init_fn)
    tritoninit.materialize(model, "cpu")
    assert torch.equal(torch.get_rng_state(), before)


def test_plan_changes_nothing_and_repeats_itself():
    model = on_meta(lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)))
    before = tensors_of(model)
    versions = {name: tensor._version for name, tensor in before.items()}
    plan = tritoninit.plan(model, seed=4)
    assert tritoninit.plan(model, seed=Key(4)) == plan != tritoninit.plan(model, seed=5)
    assert all(tensors_of(model)[name] is tensor for name, tensor in before.items())
    assert {name: tensor._version for name, tensor in before.items()} == versions
    assert tritoninit.materialize(model, "cpu", seed=4) == plan
    bound = math.sqrt(3) * (math.sqrt(2 / (1 + 5)) / math.sqrt(3))
    assert plan.fills[0].writes[0].recipe == Uniform(-bound, bound)


def test_nothing_of_a_recording_is_kept_alive():
    model = on_meta(lambda: nn.Linear(37, 41))
    tritoninit.materialize(model, "cpu")
    gc.collect()
    shadows = [
        o
        for o in gc.get_objects()
        if type(o) is nn.Parameter and o.is_meta and tuple(o.shape) == (41, 37)
    ]
    assert shadows == []


def test_lazy_modules_are_refused():
    model = on_meta(lambda: nn.Sequential(nn.LazyLinear(3)))
    with pytest.raises(RecordError, match=r"0\.weight of LazyLinear is lazy"):
        tritoninit.plan(model)


def test_tensors_that_share_memory_without_being_tied_are_refused():
    model = on_meta(lambda: nn.Linear(3, 3))
    model.other = nn.Parameter(model.weight.detach())
    with pytest.raises(RecordError, match="weight and other share memory on meta"):
        tritoninit.plan(model)


BAD = [
    ({"model": 3}, TypeError, "model must be a torch.nn.Module, got int"),
    ({"seed": 1.5}, TypeError, "seed must be an int, got float"),
    ({"seed": 2**64}, ValueError, "seed must lie in"),
    ({"device": "meta"}, ValueError, "device with memory, got meta"),
    ({"device": "nowhere"}, RuntimeError, "nowhere"),
    ({"init_fn": 3}, TypeError, "init_fn must be callable or None, got int"),
]


@pytest.mark.parametrize(("arguments", "error", "match"), BAD)
def test_bad_arguments_are_named_before_anything_is_written(arguments, error, match):
    model = on_meta(lambda: nn.Linear(2, 2))
    with pytest.raises(error, match=match):
        tritoninit.materialize(**{"model": model, "device": "cpu", **arguments})
    assert model.weight.is_meta


def test_a_default_device_around_the_call_does_not_matter():
    model = on_meta(Rotary)
    with torch.device("meta"):
        tritoninit.materialize(model, "cpu")
    assert torch.equal(model.inverse_frequencies, inverse_frequencies())
    linear = on_meta(lambda: nn.Linear(3, 4))
    with torch.device("meta"):
        tritoninit.materialize(linear, "cpu")
    assert not linear.weight.is_meta


def test_a_wrappers_module_is_initialised_once():
    class Halved(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.empty(4))
            self.runs = 0

        def reset_parameters(self):
            self.runs += 1
            nn.init.ones_(self.weight)

    with torch.device("meta"):
        model = nn.Sequential(checkpoint_wrapper(Halved()))
    tritoninit.materialize(model, device="cpu")
    assert model[0]._checkpoint_wrapped_module.runs == 1
