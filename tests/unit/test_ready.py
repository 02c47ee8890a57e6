"""Checked arguments are kept with what writes them: what is kept serves no other call."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from tritoninit import Key, init
from tritoninit.init import call
from tritoninit.ready import Ready, ready
from tritoninit.recipe import Dirac, Normal, Orthogonal, Sparse

KEY = Key(4)


@pytest.fixture(autouse=True)
def nothing_kept():
    call._checked.clear()
    yield
    call._checked.clear()


def outcome(function):
    try:
        return function()
    except (TypeError, ValueError, RuntimeError) as error:
        return type(error), str(error)


@pytest.mark.parametrize(
    "std", [Fraction(1, 2), np.float32(0.5), torch.tensor(0.5), [0.5], "0.5"], ids=str
)
@pytest.mark.parametrize("kept", [False, True])
def test_equal_arguments_of_another_type_are_judged_as_in_torch(std, kept):
    if kept:
        init.normal_(torch.empty(4), 0.0, 0.5, generator=KEY)
        assert call._checked
    theirs = outcome(lambda: torch.nn.init.normal_(torch.empty(4), 0.0, std))
    ours = outcome(lambda: init.normal_(torch.empty(4), 0.0, std, generator=KEY))
    if isinstance(theirs, torch.Tensor):
        assert torch.equal(ours, init.normal_(torch.empty(4), 0.0, 0.5, generator=KEY))
    else:
        assert ours == theirs


def test_a_tensor_as_an_argument_is_read_at_every_call():
    std = torch.tensor(0.5)
    first = init.normal_(torch.empty(4), 0.0, std, generator=KEY)
    std.fill_(2.0)
    second = init.normal_(torch.empty(4), 0.0, std, generator=KEY)
    assert torch.equal(second, 4 * first)


def test_what_one_dtype_accepts_another_refuses():
    narrow = dict(a=0.0, b=2.0**-110, generator=KEY)
    for _ in range(2):
        init.uniform_(torch.empty(4, dtype=torch.float64), **narrow)
        with pytest.raises(ValueError, match=r"0 or at least 2\*\*-102"):
            init.uniform_(torch.empty(4), **narrow)
        with pytest.raises(NotImplementedError):
            init.uniform_(torch.empty(4, dtype=torch.int32), generator=KEY)


def test_a_warning_is_given_at_every_call():
    for _ in range(2):
        with pytest.warns(UserWarning, match="more than 2 std"):
            init.trunc_normal_(torch.empty(4), mean=9.0, generator=KEY)


def test_an_error_comes_before_the_warning():
    for _ in range(2):
        with pytest.raises(ValueError, match="std"):
            init.trunc_normal_(torch.empty(4), mean=9.0, std=-1.0, generator=KEY)


def test_few_are_kept_and_none_is_taken_for_another(monkeypatch):
    monkeypatch.setattr(call, "KEPT", 3)
    stds = [0.5, 1.0, 2.0, 4.0, 8.0]
    once = init.normal_(torch.empty(9), generator=KEY)
    for _ in range(2):
        for std in stds:
            assert torch.equal(init.normal_(torch.empty(9), 0.0, std, generator=KEY), std * once)
            assert len(call._checked) <= 3


def test_masks_and_matrices_are_made_for_their_shape():
    for shape in ((8, 3), (3, 8), (8, 3)):
        mask = init.sparse_(torch.empty(shape), 0.5, generator=KEY) == 0
        assert (mask.sum(0) == -(-shape[0] // 2)).all()
        assert torch.equal(init.eye_(torch.empty(shape)), torch.eye(*shape))


def test_what_no_kernel_writes_alone_has_nothing_to_write_it():
    assert ready(Normal(0.0, 1.0), torch.float32) is ready(Normal(0.0, 1.0), torch.float32)
    assert ready(Normal(0.0, 1.0), torch.float32).write is not None
    for made in (
        Ready(Orthogonal(1.0), torch.float32),
        Ready(Normal(0.0, 1.0), torch.int32),
        Ready(Dirac(2), torch.complex64),
    ):
        assert made.write is made.writer((4, 4)) is made.launches is None
    sparse = Ready(Sparse(0.5, 1.0), torch.float32)
    assert sparse.write is sparse.launches is None
    assert sparse.writer((4, 4)) is not None
