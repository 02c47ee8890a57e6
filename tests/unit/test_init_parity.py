"""The public surface of tritoninit.init beside torch.nn.init's own."""

import inspect
import sys
import warnings

import pytest
import torch

from tritoninit import Key, init

FUNCTIONS = [name for name in init.__all__ if name.endswith("_")]
ALIASES = [name for name in init.__all__ if f"{name}_" in init.__all__]
OURS = {"global_shape", "global_offset"}
WARNED = {"trunc_normal_": ((4,), {"a": 3.0, "b": 4.0})} | {
    name: ((0, 3), {}) for name in ("kaiming_uniform_", "kaiming_normal_")
}


def arguments(name):
    """(shape, positional arguments) of a valid call."""
    shape = (4, 2, 3) if name.startswith("dirac") else (4, 3)
    extra = {"constant": (0.5,), "sparse": (0.5,)}
    return shape, extra.get(name.rstrip("_"), ())


def parameters(module, name):
    signature = inspect.signature(getattr(module, name))
    return [(p.name, p.kind, p.default) for p in signature.parameters.values()]


def test_the_public_names_are_torchs():
    assert init.__all__ == torch.nn.init.__all__


def test_calculate_gain_is_torchs():
    assert init.calculate_gain is torch.nn.init.calculate_gain


@pytest.mark.parametrize("name", FUNCTIONS)
def test_parameters_and_defaults_are_torchs_up_to_the_two_additions(name):
    ours = parameters(init, name)
    assert [p for p in ours if p[0] not in OURS] == parameters(torch.nn.init, name)
    added = [p for p in ours if p[0] in OURS]
    assert added == [(n, inspect.Parameter.KEYWORD_ONLY, None) for n in sorted(OURS)[::-1]]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_docstring_names_what_is_returned_or_filled(name):
    assert inspect.getdoc(getattr(init, name)).startswith("Fill the ")


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("kind", [torch.Tensor, torch.nn.Parameter])
def test_the_tensor_itself_is_returned(name, kind):
    shape, args = arguments(name)
    tensor = torch.full(shape, torch.nan)
    tensor = torch.nn.Parameter(tensor) if kind is torch.nn.Parameter else tensor
    assert getattr(init, name)(tensor, *args) is tensor
    assert not tensor.isnan().any()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_tensor_may_be_passed_by_name(name):
    shape, args = arguments(name)
    names = list(inspect.signature(getattr(init, name)).parameters)[1:]
    tensor = torch.full(shape, torch.nan)
    getattr(init, name)(tensor=tensor, **dict(zip(names, args, strict=False)))
    assert not tensor.isnan().any()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_call_without_a_tensor_fails_as_torchs_does(name):
    with pytest.raises(TypeError) as torchs:
        getattr(torch.nn.init, name)()
    with pytest.raises(TypeError) as ours:
        getattr(init, name)()
    assert str(ours.value) == str(torchs.value)


def caught(function, *args, **kwargs):
    """(category, text, file, line of the call) of the warnings of one call."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        line = sys._getframe().f_lineno + 1
        function(*args, **kwargs)
    return (
        [(w.category, str(w.message)) for w in seen],
        [(w.filename, w.lineno) for w in seen],
        line,
    )


@pytest.mark.parametrize("name", ALIASES)
def test_a_deprecated_alias_warns_as_torchs_and_calls_its_successor(name):
    shape, args = arguments(name)
    tensor, expected = torch.empty(shape), torch.empty(shape)
    torch.manual_seed(0)
    warned, places, line = caught(getattr(init, name), tensor, *args)
    torch.manual_seed(0)
    getattr(init, f"{name}_")(expected, *args)
    assert torch.equal(tensor, expected)
    assert places == [(__file__, line)]
    reference, torch_places, torch_line = caught(
        getattr(torch.nn.init, name), torch.empty(shape), *args
    )
    assert warned == reference
    assert torch_places == [(__file__, torch_line)]
    assert getattr(init, name).__name__ == getattr(torch.nn.init, name).__name__


@pytest.mark.parametrize("name", WARNED)
def test_warnings_are_torchs_and_point_at_the_call(name):
    shape, kwargs = WARNED[name]
    warned, places, line = caught(getattr(init, name), torch.empty(shape), **kwargs)
    reference, torch_places, torch_line = caught(
        getattr(torch.nn.init, name), torch.empty(shape), **kwargs
    )
    assert warned == reference
    assert places == [(__file__, line)]
    if name != "trunc_normal_":  # torch's points into torch/nn/init.py there
        assert torch_places == [(__file__, torch_line)]


def test_trunc_normal_warns_where_torch_does():
    mean, std = 0.5, 0.25
    for a, b in [(-2.0, 2.0), (1.0, 2.0), (1.0001, 2.0), (-3.0, 0.0), (-3.0, -0.001)]:
        ours, _, _ = caught(init.trunc_normal_, torch.empty(8), mean, std, a, b)
        torchs, _, _ = caught(torch.nn.init.trunc_normal_, torch.empty(8), mean, std, a, b)
        assert ours == torchs, (a, b)


class Recorded(torch.Tensor):
    """Notes each function it is handed, then lets it run."""

    calls: list = []  # noqa: RUF012

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if getattr(init, getattr(func, "__name__", ""), None) is func:
            cls.calls.append((func, args, kwargs))
        return super().__torch_function__(func, types, args, kwargs or {})


class Refusing(torch.Tensor):
    """Handles every function by returning a mark."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return "handled"


class Plain(torch.Tensor):
    pass


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_override_is_given_the_function_and_every_argument_by_name(name):
    shape, args = arguments(name)
    tensor = torch.full(shape, torch.nan).as_subclass(Recorded)
    Recorded.calls.clear()
    result = getattr(init, name)(tensor, *args)
    function, positional, named = Recorded.calls[0]
    assert function is getattr(init, name)
    assert positional == ()
    assert named["tensor"] is tensor
    assert set(named) == {p[0] for p in parameters(torch.nn.init, name)}
    assert result is tensor
    assert not torch.Tensor.isnan(tensor.as_subclass(torch.Tensor)).any()


@pytest.mark.parametrize("name", ["uniform_", "normal_", "constant_", "kaiming_uniform_"])
def test_where_torch_dispatches_its_override_is_given_the_same_arguments(name):
    class Noting(torch.Tensor):
        seen: list = []  # noqa: RUF012

        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            cls.seen.append((args, {k: v for k, v in kwargs.items() if k != "tensor"}))

    shape, args = arguments(name)
    tensor = torch.empty(shape).as_subclass(Noting)
    getattr(torch.nn.init, name)(tensor, *args)
    getattr(init, name)(tensor, *args)
    assert Noting.seen[0] == Noting.seen[1]


def test_the_box_is_handed_to_an_override_where_it_is_given():
    tensor = torch.empty(2, 3).as_subclass(Recorded)
    Recorded.calls.clear()
    init.normal_(tensor, generator=Key(0), global_shape=(4, 3), global_offset=(1, 0))
    _, _, named = Recorded.calls[0]
    assert (named["global_shape"], named["global_offset"]) == ((4, 3), (1, 0))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_override_may_take_the_call_over(name):
    shape, args = arguments(name)
    tensor = torch.ones(shape).as_subclass(Refusing)
    state = torch.get_rng_state()
    assert getattr(init, name)(tensor, *args) == "handled"
    assert (tensor.as_subclass(torch.Tensor) == 1).all()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("kind", [Plain, Recorded, torch.nn.Parameter])
def test_subclasses_hold_the_values_of_plain_tensors(name, kind):
    shape, args = arguments(name)
    expected, tensor = torch.full(shape, torch.nan), torch.full(shape, torch.nan)
    torch.manual_seed(3)
    getattr(init, name)(expected, *args)
    if kind is torch.nn.Parameter:
        tensor = torch.nn.Parameter(tensor)
    else:
        tensor = tensor.as_subclass(kind)
    torch.manual_seed(3)
    getattr(init, name)(tensor, *args)
    assert type(tensor) is kind
    assert torch.equal(tensor.detach().as_subclass(torch.Tensor), expected)
