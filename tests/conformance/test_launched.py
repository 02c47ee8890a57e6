"""On a GPU: the short way of whole tensors is taken, and gives the host's bits.

As machine code its launches are tested, on host memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.conformance.backends import AS_CODE
from tritoninit import Key, init
from tritoninit.fill import fill
from tritoninit.layout import DTYPES as NAMES
from tritoninit.recipe import Dirac, Eye, Normal, Recipe, TruncNormal, Uniform

on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
as_code = pytest.mark.skipif(not AS_CODE, reason="of launches as machine code")

CALLS: dict[str, Callable[..., Any]] = {
    "uniform": lambda t, key: init.uniform_(t, -1.0, 2.0, generator=key),
    "normal": lambda t, key: init.normal_(t, 0.5, 0.02, generator=key),
    "truncated": lambda t, key: init.trunc_normal_(t, generator=key),
    "eye": lambda t, key: init.eye_(t),
}
DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
KEYS = pytest.mark.parametrize("key", [Key(5), Key(2**64 - 1, 2**32 - 3)], ids=["low", "carries"])
RECIPES: dict[str, Recipe] = {
    "uniform": Uniform(-1.0, 2.0),
    "normal": Normal(0.5, 0.02),
    "truncated": TruncNormal(0.0, 1.0, -2.0, 2.0),
    "eye": Eye(),
    "dirac": Dirac(1),
}
SHAPES = ((1, 1), (3, 5), (61, 4099), (4096, 1024))


@on_a_gpu
@KEYS
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CALLS)
def test_the_short_way_gives_the_hosts_bits(
    name: str, dtype: torch.dtype, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tritoninit.backends.triton_whole import Launches

    fill, taken = Launches.fill, []
    monkeypatch.setattr(Launches, "fill", lambda *given: taken.append(fill(*given)) or taken[-1])
    for shape in SHAPES:
        for shift in (0, 1):
            memory = torch.full((shape[0] * shape[1] + 17,), 9.0, dtype=dtype, device="cuda")
            tensor = memory[8 + shift : -8 - (1 - shift)].view(shape)
            expected = CALLS[name](torch.empty(shape, dtype=dtype), key)
            for _ in range(2):  # prepared, then kept
                CALLS[name](tensor, key)
                assert torch.equal(tensor.cpu(), expected)
                tensor.fill_(9.0)
            assert bool((memory == 9.0).all())
    assert taken == [True] * (4 * len(SHAPES))


@as_code
@KEYS
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", RECIPES)
def test_its_launches_give_the_hosts_bits(name: str, dtype: torch.dtype, key: Key) -> None:
    """Two sizes and two alignments from one set of launches, each prepared and then kept."""
    from tritoninit.backends.triton_whole import Launches

    recipe = RECIPES[name]
    launches = Launches(recipe, NAMES[dtype], name in ("eye", "dirac"))
    dimensions = 3 if name == "dirac" else 2
    for shape in ((3, 5, 1)[:dimensions], (61, 99, 1)[:dimensions]):
        expected = torch.empty(shape, dtype=dtype)
        fill(expected, recipe, key)
        for shift in (0, 1):
            memory = torch.full((expected.numel() + 17,), 9.0, dtype=dtype)
            tensor = memory[8 + shift : -8 - (1 - shift)].view(shape)
            for _ in range(2):
                assert launches.fill(tensor, tensor.numel(), key.seed, key.offset)
                assert torch.equal(tensor, expected)
                tensor.fill_(9.0)
            assert bool((memory == 9.0).all())


@on_a_gpu
def test_a_graph_replays_it_on_its_stream() -> None:
    tensor = torch.empty(1000, device="cuda")
    expected = init.normal_(torch.empty(1000), generator=Key(1))
    init.normal_(tensor, generator=Key(1))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        init.normal_(tensor, generator=Key(1))
    tensor.zero_()
    graph.replay()
    torch.cuda.synchronize()
    assert torch.equal(tensor.cpu(), expected)
