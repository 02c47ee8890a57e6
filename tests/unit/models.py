"""Small models on meta, and what the recording tests ask of them."""

import torch
from torch import nn

import tritoninit


def on_meta(make):
    with torch.device("meta"):
        return make()


def tensors_of(model):
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def values_of(model):
    return {name: tensor.detach().clone() for name, tensor in tensors_of(model).items()}


def assert_equal(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype, name
        assert torch.equal(a[name], b[name]), name


class Holder(nn.Module):
    """One parameter, on meta unless said otherwise, and init code given from outside."""

    def __init__(self, code, shape=(4, 6), dtype=torch.float32, device="meta"):
        super().__init__()
        self.weight = nn.Parameter(
            torch.empty(shape, dtype=dtype, device=device), requires_grad=dtype.is_floating_point
        )
        self.code = code

    @torch.no_grad()
    def reset_parameters(self):
        self.code(self.weight)


def writes_of(code, **kwargs):
    (fill,) = tritoninit.plan(Holder(code, **kwargs)).fills
    return fill.writes


def recipes_of(code, **kwargs):
    return [write.recipe for write in writes_of(code, **kwargs)]


class Incomplete(nn.Module):
    """A parameter that nothing fills."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(3))


class Failing(nn.Linear):
    """Init code with an error, once it is built."""

    def __init__(self):
        super().__init__(2, 2)
        self.built = True

    def reset_parameters(self):
        if hasattr(self, "built"):
            nn.init.normal_(self.weight, std=self.width**-0.5)
