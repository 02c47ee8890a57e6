"""-0.0 and 0.0 are equal as arguments: no value may depend on which of them came first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tritoninit import Key, init
from tritoninit.init import call
from tritoninit.ready import ready
from tritoninit.sampler import lower

CALLS: dict[str, Callable[[torch.Tensor, float], Any]] = {
    "uniform, low": lambda t, zero: init.uniform_(t, zero, 1.0, generator=Key(1)),
    "uniform, both": lambda t, zero: init.uniform_(t, zero, zero, generator=Key(1)),
    "normal, std": lambda t, zero: init.normal_(t, zero, zero, generator=Key(1)),
    "truncated, mean": lambda t, zero: init.trunc_normal_(t, zero, 1.0, -1.0, generator=Key(1)),
    "truncated, bound": lambda t, zero: init.trunc_normal_(t, 0.0, 1.0, zero, generator=Key(1)),
    "truncated, one value": lambda t, zero: init.trunc_normal_(
        t, 1.0, 1.0, zero, zero, generator=Key(1)
    ),
    "sparse, std": lambda t, zero: init.sparse_(t, 0.5, zero, generator=Key(1)),
    "orthogonal, gain": lambda t, zero: init.orthogonal_(t, zero, generator=Key(1)),
    "xavier, gain": lambda t, zero: init.xavier_normal_(t, zero, generator=Key(1)),
}


def bits(name: str, zero: float, dtype: torch.dtype) -> torch.Tensor:
    tensor = torch.empty(8, 9, dtype=dtype)
    CALLS[name](tensor, zero)
    return tensor.view(torch.int64 if dtype is torch.float64 else torch.int32)


@pytest.mark.filterwarnings("ignore:mean is more than 2 std")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", CALLS)
def test_values_do_not_depend_on_the_order_of_calls(name: str, dtype: torch.dtype) -> None:
    found = []
    for order in ((0.0, -0.0), (-0.0, 0.0)):
        for kept in (ready, lower):
            kept.cache_clear()
        call._checked.clear()
        first, second = (bits(name, zero, dtype) for zero in order)
        found.append(dict(zip(map(str, order), (first, second), strict=True)))
    for zero in ("0.0", "-0.0"):
        assert torch.equal(found[0][zero], found[1][zero]), zero


@pytest.mark.parametrize("order", [(0.0, -0.0), (-0.0, 0.0)])
def test_constants_keep_the_sign_of_zero(order: tuple[float, float]) -> None:
    for zero in order:
        tensor = init.constant_(torch.empty(5), zero)
        assert str(tensor[0].item()) == str(zero)
