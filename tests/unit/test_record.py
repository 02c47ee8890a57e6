"""What recording sees of init code, and what it keeps."""

import functools
import math
import warnings

import pytest
import torch
from torch import nn

import tritoninit
from tests.unit.models import Holder, recipes_of, writes_of
from tritoninit import Key, init
from tritoninit.plan import Apply, Copy, View, Write
from tritoninit.recipe import (
    Constant,
    Dirac,
    Eye,
    Normal,
    Orthogonal,
    Sparse,
    TruncNormal,
    Uniform,
)
from tritoninit.recording import RecordError

BOUND = math.sqrt(3.0) * (math.sqrt(2.0 / (1 + 0.01**2)) / math.sqrt(6))

CALLS = [
    ("uniform_", (-1.0, 2.0), (4, 6), Uniform(-1.0, 2.0)),
    ("normal_", (0.5, 2.0), (4, 6), Normal(0.5, 2.0)),
    ("trunc_normal_", (0.0, 0.02, -0.04, 0.04), (4, 6), TruncNormal(0.0, 0.02, -0.04, 0.04)),
    ("constant_", (3.5,), (4, 6), Constant(3.5)),
    ("ones_", (), (4, 6), Constant(1.0)),
    ("zeros_", (), (4, 6), Constant(0.0)),
    ("eye_", (), (4, 6), Eye()),
    ("dirac_", (2,), (4, 6, 3), Dirac(2)),
    ("orthogonal_", (2.0,), (4, 6), Orthogonal(2.0)),
    ("sparse_", (0.25, 0.02), (4, 6), Sparse(0.25, 0.02)),
    ("xavier_uniform_", (), (4, 6), Uniform(-math.sqrt(3) * 0.2**0.5, math.sqrt(3) * 0.2**0.5)),
    ("xavier_normal_", (2.0,), (4, 6), Normal(0.0, 2.0 * math.sqrt(0.2))),
    ("kaiming_uniform_", (0.01,), (4, 6), Uniform(-BOUND, BOUND)),
    ("kaiming_normal_", (0, "fan_out"), (4, 6), Normal(0, math.sqrt(2.0) / 2)),
]


@pytest.mark.parametrize("source", [nn.init, init], ids=["torch.nn.init", "tritoninit.init"])
@pytest.mark.parametrize(("name", "arguments", "shape", "recipe"), CALLS, ids=lambda v: str(v))
def test_every_initializer_is_seen(source, name, arguments, shape, recipe):
    function = getattr(source, name)
    assert recipes_of(lambda w: function(w, *arguments), shape=shape) == [recipe]


def test_the_calls_are_all_of_the_public_names():
    assert {name for name, *_ in CALLS} == {n for n in init.__all__ if n.endswith("_")}


@pytest.mark.parametrize("source", [nn.init, init], ids=["torch.nn.init", "tritoninit.init"])
@pytest.mark.parametrize("name", ["trunc_normal_", "orthogonal_"])
def test_references_made_before_are_seen(source, name):
    bound = functools.partial(getattr(source, name))
    table = {"init": getattr(source, name)}
    expected = recipes_of(getattr(source, name))
    assert recipes_of(lambda w: bound(tensor=w)) == expected
    assert recipes_of(lambda w: table["init"](w)) == expected


def test_the_private_truncated_normal_of_torch_is_seen():
    code = lambda w: nn.init._no_grad_trunc_normal_(w, 0.0, 1.0, -1.0, 1.0)  # noqa: E731
    assert recipes_of(code) == [TruncNormal(0.0, 1.0, -1.0, 1.0)]


@pytest.mark.parametrize("source", [nn.init, init], ids=["torch.nn.init", "tritoninit.init"])
def test_deprecated_aliases_are_seen_and_warn(source):
    with pytest.warns(FutureWarning, match=r"nn\.init\.orthogonal_"):
        assert recipes_of(source.orthogonal) == [Orthogonal(1.0)]


def test_the_functions_are_themselves_again_afterwards():
    before = [getattr(nn.init, n).__code__ for n in init.__all__ if n.endswith("_")]
    defaults = nn.init.trunc_normal_.__kwdefaults__  # a record() may have run before
    tritoninit.plan(Holder(nn.init.trunc_normal_))
    with pytest.raises(ZeroDivisionError):
        tritoninit.plan(Holder(lambda w: 1 / 0))
    assert before == [getattr(nn.init, n).__code__ for n in init.__all__ if n.endswith("_")]
    assert nn.init.trunc_normal_.__kwdefaults__ is defaults
    torch.manual_seed(0)
    a = nn.init.trunc_normal_(torch.empty(100))
    torch.manual_seed(0)
    assert not torch.equal(a, init.trunc_normal_(torch.empty(100)))


METHODS = [
    (lambda w: w.normal_(1.0, 2.0), [Normal(1.0, 2.0)]),
    (lambda w: w.normal_(), [Normal(0.0, 1.0)]),
    (lambda w: w.normal_(std=0.5), [Normal(0.0, 0.5)]),
    (lambda w: w.data.uniform_(-1, 1), [Uniform(-1.0, 1.0)]),
    (lambda w: w.uniform_(), [Uniform(0.0, 1.0)]),
    (lambda w: w.detach().fill_(2), [Constant(2)]),
    (lambda w: w.view(-1).zero_(), [Constant(0)]),
    (lambda w: w.fill_(torch.tensor(2.5)), [Copy((), "float32", "")]),
    (lambda w: w.copy_(torch.arange(6.0)), [Copy((6,), "float32", "")]),
    (lambda w: setattr(w, "data", w.data.normal_(0, 3)), [Normal(0.0, 3.0)]),
    (lambda w: w.__setitem__(slice(None), 7.5), [Constant(7.5)]),
]


@pytest.mark.parametrize(("code", "expected"), METHODS)
def test_methods_are_seen(code, expected):
    recipes = recipes_of(code)
    assert [type(r) for r in recipes] == [type(r) for r in expected]
    for recipe, wanted in zip(recipes, expected, strict=True):
        if isinstance(recipe, Copy):
            assert (recipe.shape, recipe.dtype) == (wanted.shape, wanted.dtype)
        else:
            assert recipe == wanted


def test_a_chain_after_a_draw_is_kept_in_order():
    def code(w):
        w.uniform_(-0.9, 0.9)
        w.erfinv_().mul_(math.sqrt(2.0)).add_(1, alpha=2).clamp_(min=-1.0, max=3)

    assert recipes_of(code) == [
        Uniform(-0.9, 0.9),
        Apply("erfinv_.default", ()),
        Apply("mul_.Tensor", (math.sqrt(2.0),)),
        Apply("add_.Tensor", (1,), (("alpha", 2),)),
        Apply("clamp_.default", (-1.0, 3)),
    ]


def test_views_are_described_in_the_parameter():
    def code(w):
        w.normal_()
        w[2].fill_(0)
        w.t()[1:3].uniform_()
        w[:, 5] = 1
        w.data.view(-1)[20:].zero_()

    assert [write.view for write in writes_of(code)] == [
        None,
        View((6,), (1,), 12),
        View((2, 4), (1, 6), 1),
        View((4,), (6,), 5),
        View((4,), (1,), 20),
    ]


def test_slices_that_tile_a_tensor_are_complete():
    def code(w):
        for part in w.chunk(2):
            nn.init.normal_(part)

    first, second = writes_of(code)
    assert (first.view, second.view) == (View((2, 6), (6, 1), 0), View((2, 6), (6, 1), 12))
    assert (first.draw, second.draw) == (0, 1)
    assert first.key == Key(0).fold_in("weight")
    assert second.key == Key(0).fold_in("weight").fold_in(1)


def test_slices_that_leave_a_gap_are_not():
    with pytest.raises(RecordError, match="6 elements are filled by nothing"):
        writes_of(lambda w: (w[:1].normal_(), w[2:].normal_()))


def test_only_the_writes_that_decide_the_values_are_kept_and_numbered():
    def code(w):
        w.normal_()
        w[0].uniform_()
        w.uniform_(-2.0, 2.0)
        w[1].normal_()
        w[1].zero_()

    first, second = writes_of(code)
    assert (first.recipe, first.draw) == (Uniform(-2.0, 2.0), 0)
    assert first.key == Key(0).fold_in("weight")
    assert (second.recipe, second.key) == (Constant(0), None)


def test_a_key_given_by_init_code_stands():
    (write,) = writes_of(lambda w: init.normal_(w, generator=Key(5)))
    assert write.key == Key(5)


def test_a_torch_generator_is_neither_read_nor_advanced():
    generator = torch.Generator().manual_seed(3)
    before = generator.get_state()
    (write,) = writes_of(lambda w: nn.init.normal_(w, generator=generator))
    assert write.key == Key(0).fold_in("weight")
    assert torch.equal(generator.get_state(), before)


def test_a_temporary_on_meta_hands_its_writes_on():
    def code(w):
        scratch = torch.empty_like(w)
        nn.init.trunc_normal_(scratch, std=0.5)
        scratch.mul_(2.0)
        w.copy_(scratch)

    assert recipes_of(code) == [TruncNormal(0.0, 0.5, -2.0, 2.0), Apply("mul_.Tensor", (2.0,))]


class Pair(nn.Module):
    def __init__(self, code):
        super().__init__()
        self.a = nn.Parameter(torch.empty(3, device="meta"))
        self.b = nn.Parameter(torch.empty(3, device="meta"))
        self.code = code

    @torch.no_grad()
    def reset_parameters(self):
        self.code(self.a, self.b)


def copy_one_draw_twice(a, b):
    scratch = torch.empty_like(a).normal_()
    a.copy_(scratch)
    b.copy_(scratch)


def copy_two_draws(a, b):
    scratch = torch.empty_like(a)
    a.copy_(scratch.normal_())
    b.copy_(scratch.normal_())


def test_one_draw_that_is_copied_twice_has_one_key():
    a, b = tritoninit.plan(Pair(copy_one_draw_twice)).fills
    assert a.writes == b.writes == (Write(Normal(0.0, 1.0), None, 0, Key(0).fold_in("a")),)
    a, b = tritoninit.plan(Pair(copy_two_draws)).fills
    assert [w.key for w in (*a.writes, *b.writes)] == [Key(0).fold_in("a"), Key(0).fold_in("b")]


def test_a_parameter_copied_to_another_takes_its_values_at_that_time():
    pair = Pair(lambda a, b: (a.normal_(), b.copy_(a), a.mul_(2.0)))
    tritoninit.materialize(pair, "cpu")
    assert torch.equal(pair.a, 2 * pair.b)


def test_zero_elements_need_no_recipe():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert writes_of(nn.init.kaiming_uniform_, shape=(0, 5)) == ()


def test_overlapping_init_weights_runs_after_reset_parameters_and_outermost_only():
    class Inner(nn.Linear):
        def init_weights(self):
            nn.init.constant_(self.weight, 1.0)

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Inner(2, 3)
            self.other = nn.Linear(2, 2)

        def init_weights(self, std=0.5):
            nn.init.normal_(self.other.weight, std=std)

    with torch.device("meta"):
        model = nn.Sequential(Outer(), Inner(2, 3))
    fills = {fill.name: fill for fill in tritoninit.plan(model).fills}
    assert fills["0.other.weight"].writes[0].recipe == Normal(0.0, 0.5)
    assert fills["0.other.weight"].origin == "init_weights of 0 (Outer)"
    assert fills["0.inner.weight"].origin == "reset_parameters of 0.inner (Inner)"
    assert fills["1.weight"].writes[0].recipe == Constant(1.0)


def test_init_fn_takes_the_place_of_init_code_and_visits_children_first():
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 2)))
    visited = []

    def init_fn(module):
        visited.append(module)
        if isinstance(module, nn.Linear):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)

    fills = tritoninit.plan(model, init_fn=init_fn).fills
    assert visited == [model[0], model[1][0], model[1], model]
    assert [fill.writes[0].recipe for fill in fills] == [Constant(1.0), Constant(0.0)] * 2
    with pytest.raises(RecordError, match=r"(?s)4 tensors .*1\.0\.bias.*Have init_fn fill"):
        tritoninit.plan(model, init_fn=lambda module: None)


def test_an_assigned_tensor_of_other_strides_is_taken_over():
    class Assigning(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.empty(4, 6, device="meta"))

        def reset_parameters(self):
            self.weight = nn.Parameter(torch.arange(24.0).view(6, 4).t())

    model = Assigning()
    tritoninit.materialize(model, "cpu")
    assert torch.equal(model.weight, torch.arange(24.0).view(6, 4).t())
