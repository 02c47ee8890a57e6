"""materialize(skip=, dtype=, strict=): what stays on meta, and what values are rounded to."""

import logging

import pytest
import torch
from torch import nn

import tritoninit
from tests.unit.constructed import recorded
from tests.unit.models import assert_equal, on_meta, tensors_of, values_of
from tritoninit import init
from tritoninit.plan import Plan
from tritoninit.recording import RecordError
from tritoninit.stream import parameter_key

SIGMA = 0.02


class Model(nn.Module):
    """Draws, chains, a padding row, ties, buffers, and a copy of a draw."""

    def __init__(self, dtype=torch.float32):
        super().__init__()
        self.embed = nn.Embedding(9, 8, padding_idx=2, dtype=dtype)
        self.block = nn.Sequential(nn.Linear(8, 8, dtype=dtype), nn.LayerNorm(8, dtype=dtype))
        self.head = nn.Linear(8, 9, bias=False, dtype=dtype)
        self.head.weight = self.embed.weight
        self.scale = nn.Parameter(torch.empty(40, dtype=dtype))
        self.twin = nn.Parameter(torch.empty(40, dtype=dtype))
        self.wave = nn.Parameter(torch.empty(3, dtype=torch.complex64))
        self.register_buffer("steps", torch.empty(4))

    @torch.no_grad()
    def reset_parameters(self):
        self.scale.normal_().mul_(0.3).add_(0.1)
        self.twin.copy_(self.scale)
        self.wave.fill_(1j)
        self.steps.fill_(0.1)


def whole(**options):
    model = on_meta(lambda: Model(**options))
    tritoninit.materialize(model, "cpu", seed=4)
    return values_of(model)


NAMES = [
    (["scale"], {"scale"}),
    (["head.weight"], {"embed.weight"}),
    (("embed",), {"embed.weight"}),
    ({"block"}, {"block.0.weight", "block.0.bias", "block.1.weight", "block.1.bias"}),
    (["block.0", "steps"], {"block.0.weight", "block.0.bias", "steps"}),
    (["_orig_mod.block.1"], {"block.1.weight", "block.1.bias"}),
    (lambda name, tensor: tensor.dim() == 2, {"embed.weight", "block.0.weight"}),
    (lambda name, _: name == "head.weight", {"embed.weight"}),
    ((), set()),
]


@pytest.mark.parametrize(("skip", "names"), NAMES, ids=lambda value: str(value)[:30])
def test_what_is_skipped_stays_on_meta_and_changes_no_other_value(skip, names):
    model = on_meta(Model)
    before = {name: id(tensor) for name, tensor in tensors_of(model).items()}
    plan = tritoninit.materialize(model, "cpu", seed=4, skip=skip)
    expected = whole()
    for name, tensor in tensors_of(model).items():
        assert id(tensor) == before[name]
        assert tensor.is_meta == (name in names)
        assert tensor.is_meta or torch.equal(tensor, expected[name]), name
    assert model.head.weight is model.embed.weight
    assert {left.name for left in plan.left} == names
    assert plan == tritoninit.plan(on_meta(Model), 4, skip=skip)
    assert Plan.from_json(plan.to_json()) == plan
    assert str(plan).count("left on meta: skipped") == len(names)
    assert (f", {len(names)} left on meta," in str(plan)) == bool(names)
    changed = plan.diff(tritoninit.plan(on_meta(Model), 4)).changed
    assert changed.keys() == names
    rest = tritoninit.materialize(model, "cpu", seed=4)
    assert {fill.name for fill in rest.fills} == names
    assert_equal(values_of(model), expected)


def test_a_skipped_tensor_may_be_one_that_cannot_be_filled():
    model = on_meta(Model)
    model.odd = nn.Parameter(torch.empty(2, device="meta"))
    with pytest.raises(RecordError, match=r"odd .* nothing fills it"):
        tritoninit.plan(model)
    assert {left.name for left in tritoninit.plan(model, skip=["odd"]).left} == {"odd"}

    def replacing(module):
        if hasattr(module, "odd"):
            module.odd.data = torch.zeros(7)
        getattr(module, "reset_parameters", lambda: None)()

    assert tritoninit.plan(model, init_fn=replacing, skip=["odd"]).left
    with pytest.raises(RecordError, match=r"shape \[7\]"):
        tritoninit.plan(model, init_fn=replacing)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"skip": ["scael"]}, ValueError, r"'scael', the name of no .* did you mean 'scale'"),
        ({"skip": ["block.2"]}, ValueError, r"'block\.2', the name of no parameter or buffer"),
        ({"skip": [""]}, ValueError, "'', the name of the whole model"),
        ({"skip": ["_orig_mod"]}, ValueError, "the name of the whole model"),
        ({"skip": "scale"}, TypeError, "skip must be an iterable of names.* got 'scale'"),
        ({"skip": 3}, TypeError, "skip must be an iterable of names.* got 3"),
        ({"skip": [3]}, TypeError, "skip must hold names, got 3, a int"),
        ({"dtype": "bfloat16"}, TypeError, "dtype must be a torch.dtype or None, got 'bfloat16'"),
        ({"dtype": torch.int8}, ValueError, "dtype must be None or one of .* got torch.int8"),
        ({"dtype": torch.float8_e4m3fn}, ValueError, "one of torch.float32, torch.bfloat16, "),
        ({"strict": 1}, TypeError, "strict must be True or False, got 1"),
    ],
)
def test_wrong_options_are_refused_before_init_code_runs(options, error, message):
    def never(module):
        raise AssertionError

    for function in (tritoninit.plan, tritoninit.materialize):
        model = on_meta(Model)
        with pytest.raises(error, match=message):
            function(model, init_fn=never, **options)
        assert all(tensor.is_meta for tensor in tensors_of(model).values())


DTYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64]


@pytest.mark.parametrize("own", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dtype", DTYPES)
def test_parameters_hold_the_float32_value_rounded_once(dtype, own):
    model = on_meta(lambda: Model(own))
    plan = tritoninit.materialize(model, "cpu", seed=4, dtype=dtype)
    expected = whole(dtype=torch.float64 if dtype == torch.float64 else torch.float32)
    for name, tensor in tensors_of(model).items():
        kept = tensor.is_complex() or name == "steps"
        assert tensor.dtype == (expected[name].dtype if kept else dtype), name
        assert torch.equal(tensor, expected[name].to(tensor.dtype)), name
        assert isinstance(tensor, nn.Parameter) == (name != "steps")
    nbytes = {t.data_ptr(): t.nbytes for t in tensors_of(model).values()}
    assert plan.nbytes == sum(nbytes.values())
    assert model.head.weight is model.embed.weight
    draws = {fill.name: fill.writes[0].key for fill in plan.fills}
    assert draws["embed.weight"] == parameter_key(4, "embed.weight")


class Constructed(nn.Module):
    """Values of constructors, one of them timm's truncated normal."""

    def __init__(self):
        super().__init__()
        self.computed = nn.Parameter(torch.randn(30) * SIGMA + 1)
        self.linear = nn.Linear(8, 4)
        self.table = nn.Parameter(torch.arange(40.0).sin())
        self.truncated = nn.Parameter(torch.empty(30, 5))
        bound = torch.erf(torch.tensor(2.0, device="cpu") / 2**0.5).item()
        with torch.no_grad():
            self.truncated.uniform_(-bound, bound).erfinv_().mul_(SIGMA * 2**0.5)
            self.truncated.add_(0.0).clamp_(-2 * SIGMA, 2 * SIGMA)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_values_of_constructors_are_rounded_once(dtype):
    reference, model = recorded(Constructed), recorded(Constructed)
    tritoninit.materialize(reference, "cpu", seed=4)
    plan = tritoninit.materialize(model, "cpu", seed=4, dtype=dtype)
    expected = values_of(reference)
    expected["truncated"] = init.trunc_normal_(
        torch.empty(30, 5, dtype=dtype), 0.0, SIGMA, -2 * SIGMA, 2 * SIGMA,
        generator=parameter_key(4, "truncated"),
    )  # fmt: skip
    assert_equal(values_of(model), {name: value.to(dtype) for name, value in expected.items()})
    (fill,) = (fill for fill in plan.fills if fill.name == "truncated")
    assert fill.recipe.startswith("truncnormal(")


class Rewritten(nn.Module):
    """Copies into a table, between them changes in place, then one of the table into itself."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.empty(6, 8))
        self.flipped = nn.Parameter(torch.empty(6, 8))
        with torch.no_grad():
            self.table.copy_(torch.arange(48.0).view(6, 8))
            self.table[:, ::2].mul_(-1)
            self.table.diagonal().copy_(self.table.diagonal().flip(0))
            self.table[1].add_(0.25)

    @torch.no_grad()
    def init_weights(self):
        self.flipped.copy_(self.table.flip(0))


@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float64], ids=str)
def test_a_copy_holds_what_was_there_when_it_was_made(dtype):
    expected = Rewritten()
    expected.init_weights()
    with tritoninit.record():
        model = Rewritten()
    tritoninit.materialize(model, "cpu", dtype=dtype)
    for name, tensor in model.named_parameters():
        assert torch.equal(tensor, getattr(expected, name).to(dtype or torch.float32)), name


def test_init_code_that_holds_the_tensor_itself_is_not_lost():
    """With another dtype the shadow is no tensor that a reference from before can stand for."""
    model = on_meta(lambda: nn.Linear(3, 3, dtype=torch.bfloat16))
    held = model.weight

    def fills(module):
        nn.init.ones_(held)
        nn.init.zeros_(module.bias)

    assert len(tritoninit.plan(model, init_fn=fills).fills) == 2
    with pytest.raises(RecordError, match=r"weight .* writes to the model's own tensor"):
        tritoninit.plan(model, init_fn=fills, dtype=torch.float32)


class Partly(nn.Module):
    """A parameter that nothing fills, one of which a part is filled, one computed from both."""

    def __init__(self):
        super().__init__()
        self.good = nn.Linear(2, 2)
        self.none = nn.Parameter(torch.empty(3))
        self.part = nn.Parameter(torch.empty(4, 2))
        self.made = nn.Parameter(torch.empty(3))

    @torch.no_grad()
    def reset_parameters(self):
        self.part[1:].zero_()
        self.made.copy_(self.none * 2)


def test_without_strict_what_has_no_recipe_stays_on_meta_and_is_named(caplog):
    with pytest.raises(RecordError, match="3 tensors have no recipe") as raised:
        tritoninit.materialize(on_meta(Partly))
    assert all(f"{name} (parameter" in str(raised.value) for name in ("none", "part", "made"))
    model = on_meta(Partly)
    with caplog.at_level(logging.WARNING, "tritoninit"):
        plan = tritoninit.materialize(model, "cpu", strict=False, skip=["good.bias"])
    assert {left.name: left.origin for left in plan.left} == {
        "none": "nothing fills it",
        "part": "2 elements are filled by nothing",
        "made": "it is computed from elements that nothing fills",
        "good.bias": "skipped",
    }
    (said,) = (record.getMessage() for record in caplog.records)
    assert "none (nothing fills it), part (2 " in said
    assert "bias" not in said
    assert [n for n, t in tensors_of(model).items() if not t.is_meta] == ["good.weight"]
    kept = model.good.weight.detach().clone()

    def second(module):
        for parameter in module.parameters(recurse=False):
            nn.init.ones_(parameter)

    tritoninit.materialize(model, "cpu", init_fn=second)
    assert torch.equal(model.good.weight, kept)
    assert {float(p.detach().min()) for n, p in model.named_parameters() if "weight" not in n} == {
        1
    }


def test_a_recorded_model_can_be_completed_later():
    def build():
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        model.extra = nn.Parameter(torch.empty(5))
        return model

    model = recorded(build)
    tritoninit.materialize(model, "cpu", strict=False)
    assert model.extra.is_meta
    first = values_of(model[0])
    plan = tritoninit.materialize(
        model, "cpu", init_fn=lambda m: hasattr(m, "extra") and m.extra.data.normal_()
    )
    assert [fill.name for fill in plan.fills] == ["extra"]
    assert_equal(values_of(model[0]), first)
