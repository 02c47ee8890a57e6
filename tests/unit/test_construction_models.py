"""record(): what constructors do to tensors is found again, whatever happens to the model."""

import copy
import gc
import math
import weakref

import pytest
import torch
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

import tritoninit
from tests.unit.constructed import key, model_of, recipes, recorded
from tests.unit.models import tensors_of
from tritoninit import Key, init
from tritoninit.recipe import Constant, Normal, TruncNormal, Uniform
from tritoninit.recording import RecordError


def rotary():
    return 1.0 / (10000 ** (torch.arange(0, 64, 2).float() / 64))


class Timm(nn.Module):
    """Initialises in its constructor alone, as timm's models do."""

    def __init__(self, std=0.02, a=-2.0, b=2.0):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.scale = nn.Parameter(1e-5 * torch.ones(8))
        self.rates = [x.item() for x in torch.linspace(0, 0.1, 2)]
        self.init_weights(std, a, b)
        nn.init.zeros_(self.blocks[1].bias)

    def init_weights(self, std=5.0, a=-1.0, b=1.0):
        for tensor in (self.token, *(block.weight for block in self.blocks)):
            with torch.no_grad():
                low, high = ((1 + math.erf(x / std / 2**0.5)) / 2 for x in (a, b))
                tensor.uniform_(2 * low - 1, 2 * high - 1)
                tensor.erfinv_().mul_(std * math.sqrt(2.0)).add_(0.0).clamp_(min=a, max=b)


def test_a_timm_style_model_keeps_what_its_constructor_said():
    model = recorded(lambda: Timm(std=0.5, a=-1.0, b=2.0))
    assert model.rates == [0.0, torch.linspace(0, 0.1, 2)[1].item()]
    plan = tritoninit.plan(model)
    expected = [TruncNormal(0.0, 0.5, -1.0, 2.0)]
    for name in ("token", "blocks.0.weight", "blocks.1.weight"):
        (found,) = recipes(plan, name)
        assert found.std == pytest.approx(0.5, rel=1e-15)
        assert [TruncNormal(0.0, 0.5, found.a, found.b)] == expected
    assert recipes(plan, "blocks.1.bias") == [Constant(0.0)], "not reset again"
    assert isinstance(recipes(plan, "blocks.0.bias")[0], Uniform)
    tritoninit.materialize(model, "cpu")
    assert torch.equal(model.scale.detach(), 1e-5 * torch.ones(8))


class Block(nn.Module):
    def __init__(self, depth):
        super().__init__()
        self.depth = depth
        self.norm = nn.RMSNorm(8)
        self.up = nn.Linear(8, 16, bias=False)
        self.down = nn.Linear(16, 8, bias=False)

    def init_weights(self):
        self.norm.reset_parameters()
        nn.init.trunc_normal_(self.up.weight, std=0.02)
        nn.init.trunc_normal_(self.down.weight, std=0.02 / (2 * (self.depth + 1)) ** 0.5)


class Titan(nn.Module):
    """Built without values and given them by ``init_weights(buffer_device)``, as torchtitan's."""

    def __init__(self, layers=3):
        super().__init__()
        self.embeddings = nn.Embedding(12, 8)
        self.register_buffer("frequencies", self.computed(), persistent=False)
        self.layers = nn.ModuleDict({str(i): Block(i) for i in range(layers)})
        self.norm = nn.RMSNorm(8)
        self.output = nn.Linear(8, 12, bias=False)

    def computed(self):
        angles = torch.outer(torch.arange(5.0), 10.0 ** -torch.arange(4.0))
        return torch.polar(torch.ones_like(angles), angles)

    def init_weights(self, buffer_device=None):
        with torch.device(buffer_device or self.frequencies.device):
            self.frequencies = self.computed()
        nn.init.normal_(self.embeddings.weight)
        for layer in self.layers.values():
            layer.init_weights()
        self.norm.reset_parameters()
        bound = 3 * 8**-0.5
        nn.init.trunc_normal_(self.output.weight, std=8**-0.5, a=-bound, b=bound)


@pytest.mark.parametrize("under_record", [True, False])
def test_a_torchtitan_style_model(under_record):
    if under_record:
        model = recorded(Titan)
    else:
        with torch.device("meta"):
            model = Titan()
    plan = tritoninit.materialize(model, "cpu")
    for depth in range(3):
        std = 0.02 / (2 * (depth + 1)) ** 0.5
        assert recipes(plan, f"layers.{depth}.down.weight") == [TruncNormal(0.0, std, -2.0, 2.0)]
    assert recipes(plan, "output.weight")[0].b == 3 * 8**-0.5
    assert torch.equal(model.frequencies, Titan().frequencies)
    assert all(len(fill.writes) == 1 for fill in plan.fills)


def test_init_fn_comes_after_the_constructors_and_need_not_fill_all():
    def init_fn(module):
        if isinstance(module, nn.Linear):
            nn.init.eye_(module.weight)

    model = recorded(Timm)
    plan = tritoninit.plan(model, init_fn=init_fn)
    assert str(recipes(plan, "blocks.0.weight")[0]) == "eye()"
    assert isinstance(recipes(plan, "blocks.0.bias")[0], Uniform)


def test_copies_of_modules_hold_the_same_values():
    class Student(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(4, 5), nn.Embedding(6, 3, padding_idx=1))
            self.teacher = copy.deepcopy(self.net)

    model = recorded(Student)
    tritoninit.materialize(model, "cpu")
    pairs = zip(model.net.parameters(), model.teacher.parameters(), strict=True)
    assert all(torch.equal(a, b) and a is not b for a, b in pairs)


def test_what_escapes_meta_is_put_there_and_remembered():
    class Escaping(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.Tensor(4, 3))
            self.tied = self.weight
            self.real = nn.Parameter(torch.full((2,), 7.0, device="cpu"))
            nn.init.trunc_normal_(self.weight, std=0.5)
            self.drawn = nn.Parameter(torch.randn(50, device="cpu") * 2)

    model = recorded(Escaping)
    assert [t.is_meta for t in (model.weight, model.real, model.drawn)] == [True, False, True]
    assert model.tied is model.weight
    plan = tritoninit.materialize(model, "cpu")
    assert recipes(plan, "weight") == [TruncNormal(0.0, 0.5, -2.0, 2.0)]
    expected = init.normal_(torch.empty(50), generator=key("drawn")) * 2
    assert torch.equal(model.drawn.detach(), expected)
    assert model.tied is model.weight


def test_memory_that_nothing_fills_is_an_error_that_names_it():
    model = recorded(
        model_of(
            full=lambda: torch.ones(2),
            empty=lambda: nn.Parameter(torch.empty(3, 2)),
            part=lambda: torch.cat([torch.empty(2), torch.ones(2)]),
            escaped=lambda: nn.Parameter(torch.Tensor(3)),
        )
    )
    with pytest.raises(RecordError) as raised:
        tritoninit.plan(model)
    text = str(raised.value)
    assert text.startswith("3 tensors have no recipe:")
    assert "empty (parameter of Model, [3, 2], float32): nothing fills it" in text
    assert "escaped (parameter of Model, [3], float32): nothing fills it" in text
    assert "part (buffer of Model, [4], float32): it is computed from elements that nothing" in text


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.to(torch.bfloat16),
        lambda m: m.requires_grad_(False),
        lambda m: checkpoint_wrapper(m),
        lambda m: torch.compile(m),
        lambda m: nn.Sequential(m)[0],
    ],
    ids=["bfloat16", "frozen", "checkpoint", "compile", "moved"],
)
def test_the_record_follows_the_model(change):
    def build():
        return nn.Sequential(model_of(a=lambda: nn.Parameter(torch.randn(40)))(), nn.Linear(3, 4))

    plain = recorded(build)
    tritoninit.materialize(plain, "cpu")
    model = change(recorded(build))
    plan = tritoninit.materialize(model, "cpu")
    assert [fill.name for fill in plan.fills] == ["0.a", "1.weight", "1.bias"]
    for ours, theirs in zip(tensors_of(model).values(), tensors_of(plain).values(), strict=True):
        assert torch.equal(ours, theirs.to(ours.dtype))


def test_a_table_cast_after_the_record_is_rounded_once():
    model = recorded(model_of(a=rotary)).to(torch.bfloat16)
    tritoninit.materialize(model, "cpu")
    assert torch.equal(model.a, rotary().to(torch.bfloat16))


def test_an_embedding_cast_after_the_record_needs_no_whole():
    model = recorded(lambda: nn.Embedding(9, 4, padding_idx=2)).to(torch.bfloat16)
    plan = tritoninit.materialize(model, "cpu")
    assert [type(recipe) for recipe in recipes(plan, "weight")] == [Normal, Constant]
    expected = init.normal_(torch.empty(9, 4, dtype=torch.bfloat16), generator=key("weight"))
    expected[2] = 0
    assert torch.equal(model.weight, expected)


def test_what_is_written_after_the_record_is_not_lost_silently():
    model = recorded(lambda: nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)))
    with torch.no_grad():
        model[0].bias.zero_()
    with pytest.raises(RecordError, match=r"0\.bias .* was written after record\(\) ended"):
        tritoninit.plan(model)
    zero = tritoninit.plan(
        model, init_fn=lambda m: nn.init.zeros_(m.bias) if hasattr(m, "bias") else None
    )
    assert recipes(zero, "0.bias") == [Constant(0.0)]


def test_a_tie_made_after_the_record_holds_what_its_first_name_holds():
    model = recorded(lambda: nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5, bias=False)))
    model[1].weight = model[0].weight
    tritoninit.materialize(model, "cpu")
    assert model[1].weight is model[0].weight
    assert torch.equal(model[0].weight, init.normal_(torch.empty(5, 4), generator=key("0.weight")))


def test_modules_built_outside_are_initialised_as_ever():
    inside = recorded(lambda: nn.Linear(3, 4))
    with torch.device("meta"):
        model = nn.Sequential(inside, nn.Linear(4, 2))
    plan = tritoninit.plan(model)
    assert [str(fill.recipe)[:7] for fill in plan.fills] == ["uniform"] * 4


def test_random_numbers_cannot_be_read():
    with pytest.raises(RecordError, match=r"__init__ of Reads: random values.*read as numbers"):
        recorded(Reads)


class Reads(nn.Module):
    def __init__(self):
        super().__init__()
        self.rate = torch.rand(1).item()


def test_planning_inside_is_refused_and_nesting_allowed():
    with tritoninit.record():
        with tritoninit.record():
            model = nn.Linear(2, 3)
        model.scale = nn.Parameter(torch.ones(3))
        with pytest.raises(RuntimeError, match=r"while record\(\) is open"):
            tritoninit.plan(model)
    assert len(tritoninit.plan(model).fills) == 3


def test_an_error_inside_leaves_nothing_behind():
    before = nn.init.normal_.__code__
    with pytest.raises(ZeroDivisionError), tritoninit.record():
        raise ZeroDivisionError
    assert nn.init.normal_.__code__ is before
    assert not torch.empty(1).is_meta
    assert nn.modules.module._global_parameter_registration_hooks == {}
    assert tritoninit.plan(recorded(lambda: nn.Linear(2, 2))).key == Key(0)


def test_the_record_goes_with_the_model():
    model = recorded(lambda: nn.Linear(2, 2))
    gone = weakref.ref(model)
    from tritoninit.recording.construction import constructions_of

    (construction,) = (weakref.ref(c) for c in constructions_of([model]))
    del model
    gc.collect()
    assert gone() is None
    assert construction() is None


def test_the_plan_says_which_constructor():
    (weight, _) = tritoninit.plan(recorded(lambda: nn.Linear(2, 2))).fills
    assert weight.origin == "reset_parameters of Linear"
