"""Models of odd structure, and whole-model calls that are cut short: all is filled, or nothing."""

import copy
import pickle
import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributed.tensor import Replicate, Shard

import tritoninit
from tests.unit.models import assert_equal, on_meta, tensors_of, values_of
from tritoninit import Key, init
from tritoninit.recording import RecordError


def is_untouched(model):
    return all(tensor.is_meta for tensor in tensors_of(model).values())


@pytest.mark.parametrize(
    "value", [None, 3, "model", torch.ones(2), nn.Linear, [nn.Linear(1, 1)], {"w": 1}], ids=str
)
def test_what_is_no_model_is_named(value):
    for function in (tritoninit.plan, tritoninit.materialize):
        with pytest.raises(
            TypeError, match=f"must be a torch.nn.Module, got {type(value).__name__}"
        ):
            function(value)
    with pytest.raises(TypeError, match=f"must be a torch.nn.Module, got {type(value).__name__}"):
        tritoninit.simulate(value, {})
    if not isinstance(value, torch.Tensor | dict):
        with pytest.raises(TypeError, match=f"tensor, a mapping .* got {type(value).__name__}"):
            tritoninit.fingerprint(value)


@pytest.mark.parametrize("make", [nn.Identity, nn.Sequential, nn.ModuleDict, nn.ReLU])
def test_a_model_without_tensors_has_an_empty_plan(make):
    assert tritoninit.materialize(make(), "cpu").fills == ()
    assert tritoninit.simulate(make(), {}) == {}
    assert int(tritoninit.fingerprint(make()), 16) == 0


def test_plans_and_recorded_models_may_be_copied():
    with tritoninit.record():
        model = nn.MultiheadAttention(8, 2)
    plan = tritoninit.plan(model)
    assert pickle.loads(pickle.dumps(plan)) == copy.deepcopy(plan) == plan
    copied = copy.deepcopy(model)
    tritoninit.materialize(model, "cpu")
    tritoninit.materialize(copied, "cpu")
    assert tritoninit.fingerprint(copied) == tritoninit.fingerprint(model)
    again = pickle.loads(pickle.dumps(model))
    assert tritoninit.fingerprint(again) == tritoninit.fingerprint(model)


def test_a_module_under_two_names_is_filled_once_and_stays_one():
    def build():
        shared = nn.Linear(3, 4)
        return nn.ModuleDict({"first": shared, "second": shared, "own": nn.Linear(3, 4)})

    model = on_meta(build)
    plan = tritoninit.materialize(model, "cpu")
    assert (plan.fills[0].name, plan.fills[0].aliases) == ("first.weight", ("second.weight",))
    assert model["first"].weight is model["second"].weight
    expected = init.kaiming_uniform_(
        torch.empty(4, 3), a=5**0.5, generator=Key(0).fold_in("first.weight")
    )
    assert torch.equal(model["second"].weight, expected)
    assert not torch.equal(model["own"].weight, expected)


def test_references_that_are_no_modules_may_go_round():
    class Child(nn.Linear):
        def __init__(self, parent):
            super().__init__(2, 2)
            self.__dict__["parent"] = parent
            self.family = [parent, self]

    model = on_meta(nn.Sequential)
    with torch.device("meta"):
        model.append(Child(model))
    tritoninit.materialize(model, "cpu")
    assert model[0].parent is model
    assert not model[0].weight.is_meta


def test_a_module_that_holds_itself_fails_as_it_does_in_torch():
    model = on_meta(lambda: nn.Sequential(nn.Linear(2, 2)))
    model[0].parent = model
    for function in (nn.Module.state_dict, tritoninit.plan, tritoninit.materialize):
        with pytest.raises(RecursionError):
            function(model)
    assert model[0].weight.is_meta


def test_properties_that_raise_are_not_read():
    class Touchy(nn.Linear):
        @property
        def device(self):
            raise AttributeError("no device")

        @property
        def statistics(self):
            raise RuntimeError("not yet")

    model = on_meta(lambda: Touchy(2, 3))
    tritoninit.materialize(model, "cpu")
    assert not is_untouched(model)


def named(name):
    model = nn.Module()
    model._modules[name] = nn.Linear(2, 3)
    return model


@pytest.mark.parametrize("name", ["größe", "层", "a b", "x" * 2000, "0", "🙂", "_"])
def test_any_text_is_a_name(name):
    model = on_meta(lambda: named(name))
    plan = tritoninit.materialize(model, "cpu")
    assert plan.fills[0].name == f"{name}.weight"
    assert tritoninit.plan(on_meta(lambda: named(name))).to_json() == plan.to_json()
    key = Key(0).fold_in(f"{name}.weight")
    expected = init.kaiming_uniform_(torch.empty(3, 2), a=5**0.5, generator=key)
    assert torch.equal(model._modules[name].weight, expected)
    assert set(tritoninit.fingerprints(model)) == {f"{name}.weight", f"{name}.bias"}


def test_a_name_without_utf8_is_refused():
    model = on_meta(lambda: named("\ud800"))
    with pytest.raises(UnicodeEncodeError):
        tritoninit.materialize(model, "cpu")
    assert is_untouched(model)


def dotted():
    model = named("a.b")
    model.a = named("b")
    return model


def wrapped():
    model = named("w")
    model._orig_mod = named("w")
    return model


@pytest.mark.parametrize(("make", "name"), [(dotted, "a.b.weight"), (wrapped, "w.weight")])
def test_two_tensors_of_one_name_are_refused(make, name):
    model = on_meta(make)
    for function in (tritoninit.plan, tritoninit.materialize):
        with pytest.raises(RecordError, match=f"two tensors are called {name} once"):
            function(model)
    assert is_untouched(model)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_parameters_without_elements_are_allocated():
    model = on_meta(lambda: nn.Sequential(nn.Linear(0, 3), nn.Embedding(0, 4)))
    plan = tritoninit.materialize(model, "cpu")
    assert not any(tensor.is_meta for tensor in tensors_of(model).values())
    assert model[0].weight.shape == (3, 0)
    assert (model[0].bias == 0).all()
    assert plan.nbytes == 12


@pytest.mark.parametrize("error", [MemoryError, torch.OutOfMemoryError, KeyboardInterrupt])
@pytest.mark.parametrize("call", [0, 1, 3])
def test_a_materialize_cut_short_leaves_the_model_on_meta(error, call, monkeypatch):
    model = on_meta(lambda: nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5)))
    objects, state = tensors_of(model), torch.get_rng_state()
    original, calls = torch.empty_strided, []

    def failing(*args, device, **kwargs):
        if torch.device(device).type == "cpu":
            calls.append(args)
            if len(calls) > call:
                raise error("no more")
        return original(*args, device=device, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(torch, "empty_strided", failing)
        with pytest.raises(error, match="no more"):
            tritoninit.materialize(model, "cpu", seed=9)
    assert calls
    assert all(tensors_of(model)[name] is tensor for name, tensor in objects.items())
    assert is_untouched(model)
    assert torch.equal(torch.get_rng_state(), state)
    tritoninit.materialize(model, "cpu", seed=9)
    other = on_meta(lambda: nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5)))
    tritoninit.materialize(other, "cpu", seed=9)
    assert_equal(values_of(model), values_of(other))


def test_a_model_beyond_all_memory_is_planned_and_not_allocated():
    model = on_meta(lambda: nn.Sequential(nn.Linear(2, 2), nn.Linear(2**30, 2**20, bias=False)))
    assert tritoninit.plan(model).nbytes == 4 * (2**50 + 6)
    with pytest.raises(RuntimeError, match="memory"):
        tritoninit.materialize(model, "cpu")
    assert is_untouched(model)
    local = tritoninit.simulate(
        model,
        {"dp": 2**40 - 1},
        mesh={"dp": 2**40},
        placements=lambda name, _: [Shard(0)] if name == "1.weight" else None,
        names=["0.weight"],
    )
    assert local["0.weight"].shape == (2, 2)


SIMULATED = [
    ({"coordinate": None}, TypeError, "coordinate must be a mapping of .* got None"),
    ({"coordinate": {"dp": 0.5}}, TypeError, r"coordinate must be .* got \{'dp': 0.5\}"),
    ({"coordinate": [("dp", 0)]}, TypeError, "coordinate must be a mapping"),
    ({"coordinate": {"dp": 2}}, ValueError, r"coordinate must lie in \[0, 2\) along 'dp', got 2"),
    ({"coordinate": {"dp": -1}}, ValueError, r"coordinate must lie in \[0, 2\)"),
    ({"mesh": 3}, TypeError, "mesh must be a mapping of mesh dimensions' names to ints, got 3"),
    ({"mesh": {"dp": "2"}}, TypeError, "mesh must be a mapping"),
    ({"mesh": {"dp": 0}}, ValueError, "mesh sizes must be at least 1"),
    ({"names": "weight"}, TypeError, "names must be a collection .* the string 'weight'"),
    ({"names": ["weigth"]}, ValueError, "names must be of tensors on meta, got weigth"),
    ({"placements": lambda *_: [3]}, TypeError, "placements of weight: .* the placement 3"),
    ({"placements": lambda *_: []}, ValueError, "placements of weight: .* one placement for each"),
    ({"placements": lambda *_: [Shard(7)]}, ValueError, "placements of weight: .* dimension 7"),
]


@pytest.mark.parametrize(("changed", "error", "text"), SIMULATED)
def test_what_cannot_be_simulated_is_named(changed, error, text):
    model = on_meta(lambda: nn.Linear(4, 6))
    given = {
        "coordinate": {"dp": np.int64(1)},
        "mesh": {"dp": 2},
        "placements": lambda *_: [Replicate()],
    }
    assert len(tritoninit.simulate(model, **given)) == 2
    with pytest.raises(error, match=text):
        tritoninit.simulate(model, **{**given, **changed})


def test_threads_that_record_take_turns():
    """Each thread's constructors are recorded, whoever else is recording."""
    numbers, errors, start = [], [], threading.Barrier(4)

    def work():
        try:
            start.wait()
            with tritoninit.record():
                model = nn.MultiheadAttention(8, 2)
            assert is_untouched(model)
            tritoninit.materialize(model, "cpu", seed=1)
            numbers.append(tritoninit.fingerprint(model))
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not errors
    assert len(numbers) == 4
    assert len(set(numbers)) == 1


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_record_cut_short_leaves_nothing_behind(error):
    codes = [getattr(torch.nn.init, name).__code__ for name in torch.nn.init.__all__]

    def fails():
        raise error

    with pytest.raises(error), tritoninit.record():
        fails()
    assert [getattr(torch.nn.init, name).__code__ for name in torch.nn.init.__all__] == codes
    linear = nn.Linear(2, 2)
    assert linear.weight.device.type == "cpu"
    with tritoninit.record():
        assert nn.Linear(2, 2).weight.is_meta
