"""Values that are computed as a whole: from the operations alone, whatever is set around them."""

from contextlib import contextmanager

import pytest
import torch

import tritoninit
from tests.unit.constructed import model_of, recorded
from tests.unit.models import Holder

TABLES = model_of(
    table=lambda: torch.linspace(0, 1, 48) ** 2,
    frequencies=lambda: 1.0 / 10000 ** (torch.arange(0, 48, 2) / 48),
    sines=lambda: torch.arange(48).sin(),
    window=lambda: torch.hann_window(16),
    logs=lambda: torch.logspace(0, 1, 48),
    angles=lambda: torch.polar(torch.ones(8), torch.arange(8) / 8),
    choice=lambda: torch.where(torch.arange(8) > 3, 0.1, 0.2),
)
PRODUCTS = model_of(
    fixed=lambda: torch.arange(48.0).view(6, 8).sin() @ torch.arange(48.0).view(8, 6).cos(),
    drawn=lambda: torch.randn(6, 8) @ torch.randn(8, 6),
)


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize("around", [torch.float64, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("built", [torch.float32, torch.float64], ids=str)
def test_the_default_dtype_is_the_one_that_the_model_was_built_under(built, around):
    with default_dtype(built):
        expected, model = TABLES(), recorded(TABLES)
    with default_dtype(around):
        tritoninit.materialize(model, "cpu")
        assert torch.get_default_dtype() == around
    for (name, found), (_, buffer) in zip(
        model.named_buffers(), expected.named_buffers(), strict=True
    ):
        assert found.dtype == buffer.dtype, name
        assert torch.equal(found, buffer), name


def test_autocast_around_materialize_is_of_no_account():
    expected, model = recorded(PRODUCTS), recorded(PRODUCTS)
    tritoninit.materialize(expected, "cpu")
    with torch.autocast("cpu", torch.bfloat16):
        tritoninit.materialize(model, "cpu")
    assert torch.equal(model.fixed, expected.fixed)
    assert torch.equal(model.drawn, expected.drawn)


def written(code):
    with torch.device("meta"):
        model = Holder(code)
    tritoninit.materialize(model, "cpu")
    return model.weight


def test_what_is_given_as_out_is_not_read():
    drawn = written(lambda w: torch.normal(5.0, 1.0, size=w.shape, out=w.data))
    assert 3 < drawn.mean() < 7
    assert drawn.std() > 0
    assert written(lambda w: torch.add(torch.ones(w.shape), 1.0, out=w.data)).eq(2).all()
    assert written(lambda w: torch.mul(w.fill_(3.0), w, out=w.data)).eq(9).all()
    with pytest.raises(tritoninit.recording.RecordError, match="nothing fills"):
        written(lambda w: torch.mul(w, 2.0, out=w.data))


def test_operations_on_lists():
    def code(w):
        rows = list(w.data.unbind())
        torch._foreach_zero_(rows)
        torch._foreach_add_(rows, 2.0)
        torch._foreach_mul_(rows, [float(i) for i in range(len(rows))])

    weight = written(code)
    assert weight.eq(2 * torch.arange(len(weight))[:, None]).all()
    copied = written(lambda w: torch._foreach_copy_([w.data], [torch.full(w.shape, 0.5)]))
    assert copied.eq(0.5).all()
