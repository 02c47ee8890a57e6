"""Standard deviations at the ends of float32's range."""

import pytest
import torch

from tritoninit import Key, init
from tritoninit.sampler import DType, rounded

KEY = Key(3)


def multiples(std: float) -> torch.Tensor:
    """std, as float32, times the standard normals of the same key, in float64."""
    standard = init.normal_(torch.empty(4096), generator=KEY)
    return standard.double() * rounded(std, DType.FLOAT32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_tiny_std_keeps_its_scale(dtype: torch.dtype) -> None:
    tensor = init.normal_(torch.empty(4096, dtype=dtype), std=1e-40, generator=KEY)
    # Radius times std is rounded to half a subnormal's unit, and multiplied by up to 8.
    unit = {torch.float32: 0, torch.bfloat16: 2.0**-133, torch.float16: 2.0**-24}[dtype]
    assert (tensor.double() - multiples(1e-40)).abs().max() <= 4.6 * 2.0**-149 + unit / 2
    assert tensor.any() == (dtype is not torch.float16)


def test_a_std_of_1e_36_is_as_precise_as_any() -> None:
    tensor = init.normal_(torch.empty(4096), std=1e-36, generator=KEY).double()
    torch.testing.assert_close(tensor, multiples(1e-36), rtol=3e-7, atol=2.0**-147)


def test_a_huge_std_overflows_only_where_the_value_does() -> None:
    tensor, expected = init.normal_(torch.empty(4096), std=3e38, generator=KEY), multiples(3e38)
    finite = expected.abs() < 3.4e38
    assert finite.any()
    assert not finite.all()
    torch.testing.assert_close(tensor[finite].double(), expected[finite], rtol=3e-7, atol=0)
    assert tensor[expected.abs() > 3.41e38].isinf().all()
