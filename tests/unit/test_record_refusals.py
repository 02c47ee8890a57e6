"""What recording refuses, by name, and the errors of initializers that it passes on."""

import contextlib
import re

import pytest
import torch
from torch import nn

from tests.unit.models import writes_of
from tritoninit import init
from tritoninit.recording import RecordError

REFUSED = [
    (lambda w: torch.linspace(0, 1, 6, out=w[0]), "18 elements are filled by nothing"),
    (lambda w: w.view(torch.int32)[0].zero_(), "computed from elements that nothing fills"),
    (lambda w: w.copy_(torch.empty_like(w) * 2), "computed from elements that nothing fills"),
    (lambda w: torch.view_as_complex(w.view(4, 3, 2)).conj().zero_(), "lazy conjugate"),
    (lambda w: w.copy_(torch.empty(6)), "computed from elements that nothing fills"),
    (lambda w: setattr(w, "data", torch.empty_like(w)), "nothing fills it"),
    (lambda w: setattr(w, "data", torch.ones(3)), r"shape \[3\]"),
    (lambda w: w.normal_().sum().item(), "random values on meta were read as numbers"),
    (lambda w: w.copy_(torch.randn(1 << 29, device="meta")[:6] * 2), "up to 1 GiB"),
    (lambda w: init.normal_(w, global_shape=(8, 6), global_offset=(0, 0)), "global_shape"),
]


@pytest.mark.parametrize(("code", "match"), REFUSED)
def test_what_cannot_be_replayed_is_refused_by_name(code, match):
    with pytest.raises(RecordError, match=match) as raised:
        writes_of(code)
    assert re.search(r"weight|reset_parameters of the model \(Holder\)", str(raised.value))


def test_a_refusal_that_init_code_swallows_is_raised_all_the_same():
    def code(w):
        w.zero_()
        with contextlib.suppress(RuntimeError):
            w.normal_().max().item()

    with pytest.raises(RecordError, match="read as numbers"):
        writes_of(code)


ERRORS = [
    (lambda w: nn.init.normal_(w, std=-1.0), RuntimeError, "std"),
    (lambda w: w.normal_(0, -1.0), RuntimeError, "std"),
    (lambda w: w.uniform_(2.0, 1.0), RuntimeError, "from"),
    (lambda w: nn.init.uniform_(w, 2.0, 1.0), RuntimeError, "from"),
    (lambda w: nn.init.dirac_(w), ValueError, "3, 4, or 5 dimensions"),
    (lambda w: nn.init.kaiming_normal_(w, mode="fan"), ValueError, "Mode fan"),
    (lambda w: nn.init.sparse_(w, 2.0), ValueError, "sparsity"),
    (lambda w: nn.init.trunc_normal_(w, std=-1.0), ValueError, "std"),
    (lambda w: w.copy_(torch.zeros(5)), RuntimeError, "size"),
    (lambda w: w[:1].expand(4, 6).zero_(), RuntimeError, "single memory location"),
    (lambda w: nn.init.normal_(w, generator="x"), TypeError, "generator"),
]


@pytest.mark.parametrize(("code", "error", "match"), ERRORS)
def test_errors_of_the_initializers_are_raised(code, error, match):
    with pytest.raises(error, match=match):
        writes_of(code)


def test_drawing_into_integers_is_refused():
    with pytest.raises(RuntimeError, match=r"int64|Long"):
        writes_of(lambda w: w.normal_(), dtype=torch.int64)
