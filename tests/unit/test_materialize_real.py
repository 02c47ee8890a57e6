"""Tensors that are not on meta: whatever init code does to them, they keep their values."""

import math

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.testing._internal.two_tensor import TwoTensor

import tritoninit
from tests.unit.models import assert_equal, tensors_of, values_of
from tritoninit import Key, init
from tritoninit.plan import Plan
from tritoninit.recording import RecordError


def half_real():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    with torch.no_grad():
        for tensor in tensors_of(model).values():
            tensor.fill_(7)
    model[0].weight = nn.Parameter(torch.empty(4, 3, device="meta"))
    model[1].running_var = torch.empty(4, device="meta")
    return model


def test_tensors_that_are_not_on_meta_keep_their_values():
    model = half_real()
    plan = tritoninit.materialize(model, "cpu", seed=1)
    assert [fill.name for fill in plan.fills] == ["0.weight", "1.running_var"]
    values = values_of(model)
    written = init.kaiming_uniform_(
        torch.empty(4, 3), a=math.sqrt(5), generator=Key(1).fold_in("0.weight")
    )
    assert torch.equal(values.pop("0.weight"), written)
    assert torch.equal(values.pop("1.running_var"), torch.ones(4))
    assert all((value == 7).all() for value in values.values())


def test_real_tensors_survive_every_way_of_writing_them():
    class Module(nn.Module):
        def __init__(self):
            super().__init__()
            self.real = nn.Parameter(torch.full((3,), 7.0))
            self.weight = nn.Parameter(torch.empty(3, device="meta"))

        def reset_parameters(self):
            nn.init.trunc_normal_(self.real)
            init.normal_(self.real)
            self.real.data.normal_().mul_(2)
            self.real.data[1:] = 3
            self.real.data = torch.zeros(3)
            self.real.requires_grad_(False)
            nn.init.ones_(self.weight)

    model = Module()
    real, pointer = model.real, model.real.data_ptr()
    tritoninit.materialize(model, "cpu")
    assert model.real is real
    assert (real.data_ptr(), real.requires_grad) == (pointer, True)
    assert torch.equal(real.detach(), torch.full((3,), 7.0))
    assert torch.equal(model.weight.detach(), torch.ones(3))


def test_values_a_real_tensor_would_have_had_do_not_flow_on():
    model = half_real()

    def init_fn(module):
        if isinstance(module, nn.Linear):
            nn.init.ones_(module.bias)
            module.weight.data.copy_(module.bias.sum())

    with pytest.raises(RecordError, match=r"sum.*reads 0\.bias.*keeps its values"):
        tritoninit.plan(model, init_fn=init_fn)


def test_a_model_without_meta_tensors_has_nothing_to_fill():
    model = nn.Linear(2, 2)
    before = values_of(model)
    assert tritoninit.materialize(model, "cpu") == Plan(Key(0), ())
    assert_equal(values_of(model), before)


OPAQUE = {
    "wrapper": lambda ones: TwoTensor(ones, ones.clone()),
    "sparse": lambda ones: ones.to_sparse(),
    "compressed": lambda ones: ones.to_sparse_csr(),
    "nested": lambda ones: torch.nested.nested_tensor([ones[0], ones[1, :2]]),
    "jagged": lambda ones: torch.nested.nested_tensor([ones[0], ones[1, :2]], layout=torch.jagged),
    "mkldnn": lambda ones: ones.to_mkldnn(),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support", "ignore:The PyTorch API of nested")
@pytest.mark.parametrize("kind", OPAQUE)
def test_what_has_no_strided_memory_of_its_own_is_left_alone(kind):
    """As quantised weights have none, beside which adapters are on meta."""

    class Module(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("real", OPAQUE[kind](torch.ones(2, 3)))
            self.adapter = nn.Parameter(torch.empty(3, device="meta"))

        def reset_parameters(self):
            nn.init.ones_(self.adapter)
            if kind != "mkldnn":
                self.real.zero_()
                self.real.data.mul_(2)
            if kind == "wrapper":
                nn.init.trunc_normal_(self.real)
                nn.init.kaiming_uniform_(self.real)

    model = Module()
    real = model.real
    tritoninit.materialize(model, "cpu")
    assert model.adapter.eq(1).all()
    assert model.real is real
    dense = {"nested": real.values, "jagged": real.values, "wrapper": lambda: real.a * real.b}
    held = dense[kind]() if kind in dense else real.to_dense()
    assert held.numel() in (5, 6)
    assert held.eq(1).all()


def test_fake_tensors_are_refused_by_name():
    with FakeTensorMode():
        fake = nn.Linear(2, 3)
    with pytest.raises(RecordError, match="weight of Linear is a FakeTensor"):
        tritoninit.materialize(fake, "cpu")
    with FakeTensorMode(), pytest.raises(RuntimeError, match="planned in a FakeTensorMode"):
        tritoninit.materialize(half_real(), "cpu")


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")
def test_scripted_modules_keep_their_values_and_cannot_be_given_any():
    scripted = torch.jit.script(nn.Linear(2, 3))
    before = scripted.weight.clone()
    model = nn.Sequential(nn.Linear(4, 2, device="meta"), scripted)
    tritoninit.materialize(model, "cpu")
    assert torch.equal(scripted.weight, before)
    assert model(torch.ones(1, 4)).isfinite().all()
    model = nn.Sequential(torch.jit.script(nn.Linear(4, 2, device="meta")))
    with pytest.raises(RecordError, match=r"0\.weight is on meta in a scripted module"):
        tritoninit.materialize(model, "cpu")
