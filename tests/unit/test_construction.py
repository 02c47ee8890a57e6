"""record(): the values that constructors compute."""

import math

import pytest
import torch
from torch import nn

import tritoninit
from tests.unit.constructed import filled, key, model_of, recipes, recorded
from tritoninit import Key, init
from tritoninit.plan import Apply, Compute
from tritoninit.recipe import Normal, Uniform


def test_the_default_device_is_meta_inside_and_only_inside():
    with tritoninit.record():
        assert torch.empty(2).is_meta
        with torch.device("meta"):
            model = nn.Linear(2, 3)
    assert not torch.empty(2).is_meta
    assert model.weight.is_meta
    assert isinstance(tritoninit.plan(model).fills[0].writes[0].recipe, Uniform)


DETERMINISTIC = {
    "rotary": lambda: 1.0 / (10000 ** (torch.arange(0, 64, 2).float() / 64)),
    "outer": lambda: torch.outer(torch.arange(9.0), torch.linspace(0, 1, 5)),
    "sinusoidal": lambda: torch.cat(
        [
            f(torch.arange(7.0)[:, None] * torch.exp(torch.arange(4.0) * -0.7))
            for f in (torch.sin, torch.cos)
        ],
        dim=1,
    ),
    "mask": lambda: torch.triu(torch.full((6, 6), -math.inf), diagonal=1),
    "boolean": lambda: torch.tril(torch.ones(5, 5, dtype=torch.bool)).view(1, 1, 5, 5),
    "literal": lambda: torch.tensor([[1.5, -2.0], [3.0, 0.1]]),
    "scalar": lambda: nn.Parameter(torch.tensor(math.log(1 / 0.07))),
    "new_tensor": lambda: torch.zeros(1).new_tensor([1, 2, 3]),
    "expm1": lambda: nn.Parameter(torch.log(torch.expm1(torch.tensor(0.8))).unsqueeze(0)),
    "positions": lambda: torch.arange(12).expand((1, -1)),
    "complex": lambda: torch.polar(torch.ones(6), torch.arange(6.0)),
    "view_as_complex": lambda: torch.view_as_complex(torch.arange(8.0).view(4, 2)),
    "conjugate": lambda: torch.polar(torch.ones(6), torch.arange(6.0)).conj(),
    "parameter": lambda: nn.Parameter(torch.polar(torch.ones(3, 2), torch.eye(3, 2)).mH),
    "negative": lambda: torch.polar(torch.ones(6), torch.arange(6.0)).conj().imag[::2],
    "hermitian": lambda: torch.polar(torch.ones(3, 2), torch.eye(3, 2)).mH.contiguous() * 2,
    "bits": lambda: written_in_bits(torch.ones(6)),
    "float8": lambda: (torch.arange(9) / 7).to(torch.float8_e4m3fn),
    "written": lambda: torch.zeros(4, 6).index_fill_(1, torch.tensor([0, 2]), 3.0),
    "scattered": lambda: torch.zeros(5).scatter_(0, torch.tensor([1, 3]), torch.tensor([2.0, 4.0])),
    "masked": lambda: torch.ones(5).masked_fill_(torch.arange(5) > 2, -1),
    "from_numpy": lambda: torch.from_numpy(torch.arange(4.0, device="cpu").numpy()).to("meta"),
    "half": lambda: (torch.arange(100) / 7).to(torch.float16) * 1.1,
    "sorted": lambda: torch.sort(torch.tensor([3.0, 1.0, 2.0])).values,
    "grid": lambda: torch.stack(torch.meshgrid(torch.arange(3), torch.arange(2), indexing="ij")),
    "numbers read": lambda: torch.full((2,), torch.linspace(0, 1, 5)[3].item()),
    "lists read": lambda: torch.tensor(torch.linspace(0, 1, 5).tolist()[1:3]),
    "read on the cpu": lambda: torch.ones(2) * float((torch.arange(5) ** 2).sum().cpu().numpy()),
}


def written_in_bits(ones):
    ones.view(torch.int32)[1] = 0x40000000  # 2.0
    ones.view(torch.int32)[2:4].copy_(torch.tensor([0, 0x7F800000], dtype=torch.int32))
    return ones.mul_(3)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_values_without_a_draw_are_those_of_the_cpu(name):
    model, _ = filled(tensor=DETERMINISTIC[name])
    with torch.device("cpu"):
        expected = DETERMINISTIC[name]() if name != "from_numpy" else torch.arange(4.0)
    assert model.tensor.dtype == expected.dtype
    assert torch.equal(model.tensor.detach(), expected.detach())
    assert model.tensor.stride() == expected.stride()


def test_chains_on_draws_stay_chains_with_the_tensors_own_key():
    model, plan = filled(
        a=lambda: nn.Parameter(torch.randn(5, 6) * 0.02 + 1),
        b=lambda: nn.Parameter(torch.empty(5, 6).uniform_(-1, 1).mul_(3).exp()),
        c=lambda: nn.Parameter(torch.rand(6, 5).t().clone()),
    )
    assert recipes(plan, "a") == [
        Normal(0.0, 1.0),
        Apply("mul_.Tensor", (0.02,)),
        Apply("add_.Tensor", (1,)),
    ]
    expected = init.normal_(torch.empty(5, 6), generator=key("a")).mul_(0.02).add_(1)
    assert torch.equal(model.a.detach(), expected)
    expected = init.uniform_(torch.empty(5, 6), -1, 1, generator=key("b")).mul_(3).exp_()
    assert torch.equal(model.b.detach(), expected)
    expected = init.uniform_(torch.empty(6, 5), generator=key("c")).t()
    assert torch.equal(model.c.detach(), expected)


def test_anonymous_draws_are_keyed_by_name_not_by_the_order_of_calls():
    first, _ = filled(a=lambda: torch.randn(9), b=lambda: torch.randn(9))
    second, _ = filled(b=lambda: torch.randn(9), c=lambda: torch.rand(3), a=lambda: torch.randn(9))
    assert torch.equal(first.a, second.a)
    assert torch.equal(first.b, second.b)
    assert not torch.equal(first.a, first.b)


def test_draws_that_meet_are_computed_as_a_whole_under_their_own_keys():
    model, plan = filled(a=lambda: nn.Parameter(torch.randn(4, 3) @ torch.rand(3, 5)))
    assert isinstance(recipes(plan, "a")[0], Compute)
    left = init.normal_(torch.empty(4, 3), generator=key("a"))
    right = init.uniform_(torch.empty(3, 5), generator=key("a", 1))
    assert torch.equal(model.a.detach(), left @ right)


def test_a_value_derived_from_another_parameters_draw_agrees_with_it():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.g = nn.Parameter(torch.empty(4, 1))
            self.v = nn.Parameter(torch.randn(4, 3))
            with torch.no_grad():
                self.g.copy_(self.v.norm(dim=1, keepdim=True))

    model = recorded(Model)
    tritoninit.materialize(model, "cpu")
    assert torch.equal(model.v.detach(), init.normal_(torch.empty(4, 3), generator=key("v")))
    assert torch.equal(model.g, model.v.norm(dim=1, keepdim=True))


def test_operations_of_torchs_generator_are_replayed_by_key():
    def make():
        return torch.bernoulli(torch.full((64,), 0.5))

    model, plan = filled(a=make, b=lambda: torch.randperm(64))
    again, _ = filled(b=lambda: torch.randperm(64), a=make)
    state = torch.get_rng_state()
    assert torch.equal(model.a, again.a)
    assert torch.equal(model.b, again.b)
    assert 10 < model.a.sum() < 54
    assert torch.equal(model.b.sort().values, torch.arange(64))
    assert "torch's generator" in str(plan)
    tritoninit.materialize(recorded(model_of(a=make)), "cpu")
    assert torch.equal(torch.get_rng_state(), state)


def test_real_memory_is_filled_during_the_record_too():
    torch.manual_seed(0)
    with tritoninit.record():
        drawn = init.normal_(torch.empty(50, device="cpu"), generator=Key(3))
        torchs = nn.init.uniform_(torch.full((50,), math.nan, device="cpu"))
    assert torch.equal(drawn, init.normal_(torch.empty(50), generator=Key(3)))
    assert 0 <= torchs.min() < torchs.max() < 1


def test_a_draw_cast_to_float8_is_the_float32_one_rounded():
    model, _ = filled(small=lambda: torch.randn(9).to(torch.float8_e4m3fn))
    drawn = init.normal_(torch.empty(9), generator=key("small"))
    assert torch.equal(model.small.float(), drawn.to(torch.float8_e4m3fn).float())


def test_a_lazy_conjugate_of_a_draw_agrees_with_it():
    with tritoninit.record():
        model = nn.Module()
        model.register_buffer("drawn", torch.randn(5, dtype=torch.complex64))
        model.register_buffer("conjugate", model.drawn.conj())
    tritoninit.materialize(model, "cpu")
    assert torch.equal(model.conjugate, model.drawn.conj())
    assert model.drawn.imag.abs().min() > 0
