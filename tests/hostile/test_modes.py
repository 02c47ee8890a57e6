"""What torch can run an initializer under: tracers, transforms, fake tensors, its global modes."""

from functools import partial

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode

from tests.hostile.calls import ALL, COMPUTED, CONSTANT, RANDOM, call, outcome, shape_for
from tritoninit import Key, init

TRACED = "cannot be traced .*would run without it"


@pytest.fixture
def unchanged_random_state():
    state = torch.get_rng_state()
    yield
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.usefixtures("unchanged_random_state")
@pytest.mark.parametrize("inside", [False, True], ids=["an input", "a tensor made inside"])
@pytest.mark.parametrize("tracing", ["real", "fake", "symbolic"])
@pytest.mark.parametrize("name", COMPUTED)
def test_make_fx_is_refused_as_it_would_miss_the_write(name, tracing, inside):
    def traced(tensor):
        return call(name, torch.zeros(shape_for(name)) if inside else tensor)

    with pytest.raises(RuntimeError, match=TRACED):
        make_fx(traced, tracing_mode=tracing)(torch.zeros(shape_for(name)))


@pytest.mark.usefixtures("unchanged_random_state")
@pytest.mark.parametrize("tracing", ["real", "fake"])
@pytest.mark.parametrize("name", COMPUTED)
def test_tracing_before_dispatch_is_refused(name, tracing):
    tensor = torch.zeros(shape_for(name))
    trace = make_fx(lambda t: call(name, t), tracing_mode=tracing, pre_dispatch=True)
    with pytest.raises(RuntimeError, match=TRACED):
        trace(tensor)
    assert not tensor.any()


@pytest.mark.parametrize("name", CONSTANT)
def test_constants_are_traced_as_operations_of_torch(name):
    graph = make_fx(lambda tensor: call(name, tensor), tracing_mode="fake")(torch.zeros(4, 3))
    assert torch.equal(graph(torch.full((4, 3), 7.0)), call(name, torch.zeros(4, 3)))


class Noisy(torch.nn.Module):
    def forward(self, x):
        return init.normal_(torch.zeros(3)) + x


@pytest.mark.usefixtures("unchanged_random_state")
@pytest.mark.parametrize("strict", [False, True])
def test_export_is_refused(strict):
    text = "(?s)Skip inlining.*writes memory that no graph sees" if strict else TRACED
    with pytest.raises(Exception, match=text):
        torch.export.export(Noisy(), (torch.zeros(3),), strict=strict)


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace")
def test_jit_trace_is_refused():
    with pytest.raises(RuntimeError, match=TRACED):
        torch.jit.trace(Noisy(), torch.zeros(3))


def test_symbolic_trace_keeps_the_call():
    class Called(torch.nn.Module):
        def forward(self, x):
            return init.normal_(x, std=0.5) * 2

    graph = torch.fx.symbolic_trace(Called())
    torch.manual_seed(1)
    result = graph(torch.zeros(5))
    torch.manual_seed(1)
    assert torch.equal(result, init.normal_(torch.zeros(5), std=0.5) * 2)


@pytest.mark.usefixtures("unchanged_random_state")
@pytest.mark.parametrize("name", COMPUTED)
def test_a_functional_tensor_is_refused(name):
    tensor = torch._to_functional_tensor(torch.full(shape_for(name), 7.0))
    with pytest.raises(TypeError, match="function transform"):
        call(name, tensor)
    torch._sync(tensor)
    assert (torch._from_functional_tensor(tensor) == 7).all()


@pytest.mark.parametrize("randomness", ["error", "different", "same"])
@pytest.mark.parametrize("name", RANDOM)
def test_a_tensor_made_inside_vmap_is_drawn_once_or_refused(name, randomness):
    """It is not batched: torch draws for it only where all draws are the same."""

    def initialized(module):
        def inside(x):
            return call(name, torch.zeros(shape_for(name)), module) + x

        return torch.func.vmap(inside, randomness=randomness)(torch.zeros(2))

    ours, torchs = (outcome(partial(initialized, module)) for module in (init, torch.nn.init))
    if randomness == "same":
        assert torch.equal(ours[1][0], ours[1][1])
    elif torchs[0] == "ok" or "data-dependent" in torchs[1]:
        assert ours[0] is RuntimeError
    else:
        assert ours == torchs


@pytest.mark.usefixtures("unchanged_random_state")
@pytest.mark.parametrize("generator", [None, Key(0)], ids=str)
@pytest.mark.parametrize("name", ALL)
def test_a_real_tensor_in_a_fake_mode_is_refused_or_left_as_in_torch(name, generator):
    kwargs = {"generator": generator} if name in RANDOM else {}
    tensor = torch.full(shape_for(name), 7.0)
    with (
        FakeTensorMode(),
        pytest.raises(AssertionError, match="Please convert all Tensors to Fake"),
    ):
        call(name, tensor, **kwargs)
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert call(name, tensor, **kwargs) is tensor
    assert (tensor == 7).all()


class Noting(TorchDispatchMode):
    """Runs every operation, and counts them."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ALL)
def test_a_dispatch_mode_does_not_reach_the_values(name):
    torch.manual_seed(2)
    expected = call(name, torch.full(shape_for(name), torch.nan))
    torch.manual_seed(2)
    with Noting() as mode:
        tensor = call(name, torch.full(shape_for(name), torch.nan))
    assert mode.count
    assert torch.equal(tensor, expected)


def test_the_short_ways_of_host_and_gpu_are_not_taken_under_a_mode(monkeypatch):
    """They write, or launch, past the mode."""
    taken = []
    for way in ("fill_at_once", "fill_by_launch"):
        monkeypatch.setattr(init.call, way, lambda *given: taken.append(given) or True)
    init.normal_(torch.empty(4))
    assert len(taken) == 1
    for mode in (Noting(), FakeTensorMode(allow_non_fake_inputs=True)):
        tensor = torch.full((4,), 7.0)
        with mode:
            init.normal_(tensor, generator=Key(0))
        assert (tensor == 7).all() == isinstance(mode, FakeTensorMode)
    assert len(taken) == 1


@pytest.mark.parametrize("warn_only", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_deterministic_algorithms_do_not_reach_the_values(name, warn_only):
    torch.manual_seed(2)
    expected = call(name, torch.empty(shape_for(name)))
    try:
        torch.use_deterministic_algorithms(True, warn_only=warn_only)
        torch.manual_seed(2)
        tensor = call(name, torch.empty(shape_for(name)))
        strided = call(name, torch.empty(*shape_for(name), 2)[..., 0])
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(tensor, expected)
    assert strided.isfinite().all()


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("name", ["uniform_", "normal_", "trunc_normal_", "sparse_"])
def test_the_number_of_threads_does_not_reach_the_values(name, threads):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        tensor = call(name, torch.empty(700, 211), generator=Key(5))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(tensor, call(name, torch.empty(700, 211), generator=Key(5)))
