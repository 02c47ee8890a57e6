"""Tensors that autograd knows, and subclasses: what torch.nn.init leaves of them is left here."""

import copy
import pickle

import pytest
import torch
from torch import nn

from tests.hostile.calls import ALL, CONSTANT, RANDOM, call, outcome, shape_for
from tritoninit import Key, init


class Plain(torch.Tensor):
    pass


class Marked(torch.Tensor):
    """Notes the names of the functions that it is handed."""

    seen: list = []  # noqa: RUF012

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.seen.append(getattr(func, "__name__", ""))
        return super().__torch_function__(func, types, args, kwargs or {})


def viewed_without_grad(shape):
    base = torch.zeros(2, *shape, requires_grad=True)
    with torch.no_grad():
        return base[0]


def viewed_in_inference(shape):
    base = torch.zeros(2, *shape)
    with torch.inference_mode():
        return base[0]


def halves_of_complex(shape):
    return torch.zeros(shape, dtype=torch.complex64).conj().imag


MAKERS = {
    "a leaf": lambda s: torch.zeros(s, requires_grad=True),
    "a view of a leaf": lambda s: torch.zeros(2, *s, requires_grad=True)[0],
    "one of many views": lambda s: torch.zeros(2, *s, requires_grad=True).unbind(0)[0],
    "no leaf": lambda s: torch.zeros(s, requires_grad=True) * 2,
    "a view of no leaf": lambda s: (torch.zeros(2, *s, requires_grad=True) * 2)[0],
    "detached": lambda s: torch.zeros(s, requires_grad=True).detach(),
    "data": lambda s: torch.zeros(s, requires_grad=True).data,
    "a view made under no_grad": viewed_without_grad,
    "a view made in inference mode": viewed_in_inference,
    "a parameter": lambda s: nn.Parameter(torch.zeros(s)),
    "a frozen parameter": lambda s: nn.Parameter(torch.zeros(s), requires_grad=False),
    "a buffer": lambda s: nn.Buffer(torch.zeros(s)),
    "a subclass": lambda s: torch.zeros(s).as_subclass(Plain),
    "a subclass with __torch_function__": lambda s: torch.zeros(s).as_subclass(Marked),
    "a parameter of a subclass": lambda s: nn.Parameter(torch.zeros(s).as_subclass(Plain)),
    "a part of complex numbers": lambda s: torch.zeros(s, dtype=torch.complex64).real,
    "a part of conjugated numbers": halves_of_complex,
    "overlapping by as_strided": lambda s: torch.zeros(99).as_strided(s, (3, 2, 1)[: len(s)]),
}
# torch fails there: its erfinv_ has no kernel for the view's dispatch key.
MORE = {("a part of conjugated numbers", "trunc_normal_")}


def state_of(tensor):
    """What may not change but for the values, and whether the version counter moved."""
    grad = type(tensor.grad_fn).__name__
    moved = None if tensor.is_inference() else tensor._version > 0
    return type(tensor), tensor.requires_grad, tensor.is_leaf, grad, moved


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("name", ALL)
def test_what_autograd_knows_is_as_torch_leaves_it(name, kind):
    def initialized(module):
        tensor = MAKERS[kind](shape_for(name))
        assert call(name, tensor, module) is tensor
        assert tensor.detach().isfinite().all()
        return state_of(tensor)

    ours, torchs = (outcome(lambda m=m: initialized(m)) for m in (init, torch.nn.init))
    assert ours == torchs or (ours[0] == "ok" and (kind, name) in MORE)


@pytest.mark.parametrize("name", [*RANDOM, "eye_"])
def test_what_backward_saved_is_missed(name):
    weight = torch.ones(4, 3, requires_grad=True)
    out = (weight * weight).sum()
    call(name, weight.detach() if name == "eye_" else weight)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.backward()


@pytest.mark.parametrize("name", ALL)
def test_gradients_and_hooks_stay(name):
    weight = nn.Parameter(torch.zeros(shape_for(name)))
    weight.grad = torch.ones_like(weight)
    weight.attribute, seen = "kept", []
    weight.register_hook(lambda grad: seen.append(1))
    call(name, weight)
    assert (weight.grad == 1).all()
    assert weight.attribute == "kept"
    (weight * 2).sum().backward()
    assert seen == [1]
    assert (weight.grad == 3).all()


@pytest.mark.parametrize("make", [nn.UninitializedParameter, nn.UninitializedBuffer])
@pytest.mark.parametrize("name", ALL)
def test_what_is_not_initialized_yet_is_refused_as_torch_does(name, make):
    with pytest.raises(ValueError, match="Attempted to use an uninitialized parameter in"):
        call(name, make())


@pytest.mark.parametrize("name", ALL)
def test_a_subclass_sees_one_call_of_the_function(name):
    Marked.seen.clear()
    call(name, torch.zeros(shape_for(name)).as_subclass(Marked))
    assert Marked.seen[0] == name
    assert name in CONSTANT or Marked.seen.count(name) == 1


@pytest.mark.parametrize("way", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_copies_are_tensors_of_their_own(way):
    model = nn.Linear(5, 4)
    other = way(model)
    init.normal_(model.weight, generator=Key(1))
    before = other.weight.detach().clone()
    init.normal_(other.weight, generator=Key(2))
    expected = init.normal_(torch.empty(4, 5), generator=Key(1))
    assert torch.equal(model.weight, expected)
    assert not torch.equal(other.weight, before)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ALL)
def test_autocast_changes_neither_dtype_nor_values(name, dtype):
    expected = call(name, torch.zeros(shape_for(name)), **keyed(name))
    with torch.autocast("cpu", dtype=dtype):
        tensor = call(name, torch.zeros(shape_for(name)), **keyed(name))
    assert tensor.dtype == torch.float32
    assert torch.equal(tensor, expected)


def keyed(name):
    return {"generator": Key(6)} if name in RANDOM else {}
