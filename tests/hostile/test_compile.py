"""Under torch.compile an initializer runs as it does without it, outside of the graph."""

import subprocess
import sys

import pytest
import torch
import torch._dynamo.testing

from tests.hostile.calls import ALL, RANDOM, call, shape_for
from tritoninit import Key, init


@pytest.fixture(autouse=True)
def forgetful():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def compiled(function, backend, **options):
    counter = torch._dynamo.testing.CompileCounterWithBackend(backend)
    return torch.compile(function, backend=counter, **options), counter


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("name", ALL)
def test_the_graph_breaks_and_the_values_stay(name, backend):
    def function(x):
        y = x + 1
        call(name, y)
        return y * 2

    torch.manual_seed(0)
    expected = [function(torch.zeros(shape_for(name))) for _ in range(2)]
    fast, counter = compiled(function, backend)
    torch.manual_seed(0)
    results = [fast(torch.zeros(shape_for(name))) for _ in range(2)]
    for result, wanted in zip(results, expected, strict=True):
        assert torch.equal(result, wanted)
    assert torch.equal(*results) is (name not in RANDOM)
    assert counter.frame_count == 2, "before the call and after it; nothing of the call itself"
    assert counter.op_count == 2


@pytest.mark.parametrize("name", ["normal_", "zeros_"])
def test_a_full_graph_is_refused_with_the_reason(name):
    fast, _ = compiled(lambda x: call(name, x + 1), "eager", fullgraph=True)
    with pytest.raises(torch._dynamo.exc.Unsupported, match="writes memory that no graph sees"):
        fast(torch.zeros(4, 3))


def test_other_arguments_make_no_more_graphs():
    def function(x, std):
        init.normal_(x, std=std, generator=Key(3).fold_in("w"))
        init.uniform_(x[:2], -std, std, generator=torch.Generator().manual_seed(1))
        return x

    fast, counter = compiled(function, "eager")
    counts = []
    for std in (0.1, 0.2, 0.3, 0.4):
        assert torch.equal(fast(torch.empty(5, 3), std), function(torch.empty(5, 3), std))
        counts.append(counter.frame_count)
    assert counts[1:] == counts[1:2] * 3, "the second std makes it a variable; no more follow"


def test_a_modules_own_init_code_may_be_compiled():
    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.empty(6, 5))

        def reset_parameters(self):
            init.kaiming_uniform_(self.weight, a=5**0.5, generator=Key(1))
            return self.weight.sum()

    plain, other = Block(), Block()
    fast, _ = compiled(other.reset_parameters, "aot_eager")
    assert torch.equal(fast(), plain.reset_parameters())
    assert torch.equal(other.weight, plain.weight)


def test_a_compiled_models_parameters_may_be_initialized():
    model = torch.compile(torch.nn.Linear(5, 6), backend="eager")
    before = model(torch.ones(2, 5))
    init.ones_(model.weight)
    init.zeros_(model.bias)
    assert torch.equal(model(torch.ones(2, 5)), torch.full((2, 6), 5.0))
    assert not torch.equal(before, torch.full((2, 6), 5.0))


def test_neither_the_import_nor_a_call_loads_the_compiler():
    code = (
        "import sys, torch, tritoninit; tritoninit.init.normal_(torch.empty(3));"
        " print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
