"""Architectures of transformers under record(), beside transformers' own initial values."""

import warnings

import pytest
import torch

import tritoninit
from benchmarks.sweep_transformers import compare
from tests.unit.models import tensors_of
from tests.unit.transformers_sample import KINDS, build
from tritoninit.plan import Plan


def recorded(kind):
    with tritoninit.record():
        return build(kind)


def test_there_are_at_least_forty():
    assert len(KINDS) >= 40


@pytest.mark.parametrize("kind", KINDS)
def test_every_tensor_is_filled_as_transformers_fills_it(kind):
    model = recorded(kind)
    assert any(tensor.is_meta for tensor in tensors_of(model).values())
    plan = tritoninit.materialize(model, "cpu", seed=0)
    assert Plan.from_json(plan.to_json()) == plan
    torch.manual_seed(0)
    found = compare(model, plan, build(kind))
    assert found["wrong"] == {}
    assert sum(found["counts"].values()) == len(tensors_of(model))


def test_the_comparison_sees_what_differs():
    model = recorded("gpt2")
    plan = tritoninit.materialize(model, "cpu", seed=0)
    changed = {
        "transformer.h.0.ln_1.weight": lambda t: t[3].add_(2**-23),  # a last bit
        "transformer.h.1.mlp.c_proj.weight": lambda t: t.mul_(2),  # without the depth in its std
        "transformer.wpe.weight": lambda t: t.add_(0.01),
        "transformer.wte.weight": lambda t: t.copy_(t.sign() * 0.02),
    }
    with torch.no_grad():
        for name, change in changed.items():
            change(tensors_of(model)[name])
    assert compare(model, plan, build("gpt2"))["wrong"].keys() == changed.keys()


@pytest.mark.parametrize("kind", ["llama", "bert", "mamba"])
def test_without_record_init_code_alone_gives_the_same_plan_where_it_is_complete(kind):
    with torch.device("meta"):
        model = build(kind)
    plain = {fill.name: fill.writes for fill in tritoninit.plan(model).fills}
    recorded_plan = {fill.name: fill.writes for fill in tritoninit.plan(recorded(kind)).fills}
    assert plain == recorded_plan


def test_every_tensor_is_filled_once_however_often_code_initialises_it():
    for fill in tritoninit.plan(recorded("llama")).fills:
        assert sum(write.view is None for write in fill.writes) == 1, fill.name


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
