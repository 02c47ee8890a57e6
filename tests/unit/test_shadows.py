"""A model is after its plan what it was before."""

import pytest
import torch
from torch import nn

import tritoninit


def on_meta(*layers):
    with torch.device("meta"):
        return nn.Sequential(*(layer() for layer in layers))


class Changing(nn.Linear):
    """Init code that sets, takes and replaces attributes, and its own class."""

    def __init__(self):
        super().__init__(2, 3)
        self.kept, self.gone, self.other = [1], [2], [3]

    def reset_parameters(self):
        super().reset_parameters()
        if "kept" in vars(self):
            self.new = self.gone
            del self.gone
            self.other = [3]
            self.__class__ = nn.Linear


def state(module):
    """All that a module holds, by identity and in order."""
    held = vars(module)
    tables = [held[t] for t in ("_parameters", "_buffers", "_modules")]
    contents = [[(key, id(value)) for key, value in table.items()] for table in tables]
    attributes = [(key, id(value)) for key, value in held.items()]
    return type(module), attributes, contents, set(held["_non_persistent_buffers_set"])


def test_everything_is_put_back():
    model = on_meta(lambda: nn.BatchNorm1d(3), Changing, nn.Identity)
    model.register_buffer("table", torch.empty(2, device="meta"), persistent=False)
    before = [state(module) for module in model.modules()]
    plan = tritoninit.plan(
        model,
        init_fn=lambda m: (
            getattr(m, "reset_parameters", lambda: m.table.zero_())()
            if not isinstance(m, nn.Identity)
            else None
        ),
    )
    assert len(plan.fills) == 8
    assert [state(module) for module in model.modules()] == before


def test_everything_is_put_back_after_an_error():
    model = on_meta(Changing, lambda: nn.Linear(2, 2))
    before = [state(module) for module in model.modules()]

    def fails(module):
        if isinstance(module, Changing):
            module.reset_parameters()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        tritoninit.plan(model, init_fn=fails)
    assert [state(module) for module in model.modules()] == before


def test_attributes_that_init_code_sets_are_set_by_materialize_alone():
    model = on_meta(Changing)
    gone = model[0].gone
    tritoninit.materialize(model, "cpu")
    assert model[0].new is gone
    assert model[0].other == [3]
    assert type(model[0]) is Changing


def test_init_code_that_a_class_is_given_later_is_found():
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.empty(2, 2))

    model = on_meta(Bare)
    with pytest.raises(tritoninit.recording.RecordError, match="nothing fills it"):
        tritoninit.plan(model)
    Bare.reset_parameters = lambda self: nn.init.ones_(self.weight)
    assert "constant" in str(tritoninit.plan(model))


def test_shared_modules_have_the_first_of_their_names():
    shared = on_meta(lambda: nn.Linear(2, 2))
    model = nn.ModuleDict({"a": nn.ModuleList([shared]), "b": shared, "c": nn.ModuleList([shared])})
    fills = tritoninit.plan(model).fills
    assert [(fill.name, fill.aliases) for fill in fills] == [
        (f"a.0.0.{key}", (f"b.0.{key}", f"c.0.0.{key}")) for key in ("weight", "bias")
    ]
    assert {fill.origin for fill in fills} == {"reset_parameters of a.0.0 (Linear)"}


class Cut(nn.Module):
    """Init code whose tensor lies within a larger one."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(4))

    def reset_parameters(self):
        larger = torch.empty(8, device=self.weight.device)
        larger[2:6].normal_()
        self.weight.data = larger[2:6]


def test_what_lies_within_a_larger_tensor_is_the_whole_of_its_own():
    with torch.device("meta"):
        model = Cut()
    (fill,) = tritoninit.materialize(model, "cpu", seed=3).fills
    assert [write.view for write in fill.writes] == [None]
    expected = tritoninit.init.normal_(
        torch.empty(4), generator=tritoninit.Key(3).fold_in("weight")
    )
    assert torch.equal(model.weight, expected)


class Shared(nn.Module):
    """One module under two names, and places without one."""

    def __init__(self):
        super().__init__()
        inner = nn.Linear(2, 2)
        self.first = nn.Sequential(inner, nn.Linear(2, 2))
        self.register_module("none", None)
        self.second = nn.Sequential(nn.Linear(2, 2), inner)


def test_init_code_runs_children_first_and_once_a_module():
    with torch.device("meta"):
        model = Shared()
    names = {module: name for name, module in model.named_modules()}
    order = []

    def init(module):
        order.append(names[module])
        for tensor in module.parameters(recurse=False):
            nn.init.zeros_(tensor)

    tritoninit.plan(model, init_fn=init)
    assert order == ["first.0", "first.1", "first", "second.0", "second", ""]
