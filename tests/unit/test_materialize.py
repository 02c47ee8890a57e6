"""Models from meta to memory: every value is what the initializer gives for the name."""

import functools
import math

import pytest
import torch
from torch import nn

import tritoninit
from tests.unit.models import assert_equal, on_meta, tensors_of, values_of
from tritoninit import Key, init
from tritoninit.demo_model import build, inverse_frequencies
from tritoninit.stream import parameter_key

MODULES = {
    "Linear": lambda: nn.Linear(3, 5),
    "Conv2d": lambda: nn.Conv2d(4, 6, 3, groups=2),
    "ConvTranspose1d": lambda: nn.ConvTranspose1d(4, 6, 3),
    "Embedding": lambda: nn.Embedding(10, 4),
    "LayerNorm": lambda: nn.LayerNorm((3, 4)),
    "GroupNorm": lambda: nn.GroupNorm(2, 4),
    "RMSNorm": lambda: nn.RMSNorm(7),
    "BatchNorm1d": lambda: nn.BatchNorm1d(6),
    "Bilinear": lambda: nn.Bilinear(3, 4, 5),
    "LSTM": lambda: nn.LSTM(3, 4, num_layers=2, bidirectional=True),
    "GRU": lambda: nn.GRU(3, 4),
    "MultiheadAttention": lambda: nn.MultiheadAttention(8, 2),
    "MultiheadAttention with bias_k": lambda: nn.MultiheadAttention(8, 2, add_bias_kv=True),
    "TransformerEncoderLayer": lambda: nn.TransformerEncoderLayer(8, 2, 16),
    "Transformer": lambda: nn.Transformer(8, 2, 1, 1, 16, batch_first=True),
}


@pytest.mark.parametrize("name", MODULES)
def test_modules_of_torch_hold_what_their_own_init_code_writes(name, monkeypatch):
    """The same module on the CPU, its init code run with the elementary draws keyed by name."""
    model = on_meta(MODULES[name])
    tritoninit.materialize(model, "cpu", seed=3)
    reference = MODULES[name]()
    with torch.no_grad():
        for tensor in tensors_of(reference).values():
            tensor.fill_(77)
    keys = {t.data_ptr(): parameter_key(3, name) for name, t in tensors_of(reference).items()}
    for method in ("uniform_", "normal_"):

        def keyed(function, tensor, *arguments, generator=None):
            return function(tensor, *arguments, generator=keys[tensor.data_ptr()])

        function = functools.partial(keyed, getattr(init, method))
        monkeypatch.setattr(torch.Tensor, method, functools.partialmethod(function))
    children_first = []
    reference.apply(children_first.append)
    for module in children_first:
        for method in ("reset_parameters", "_reset_parameters"):
            if hasattr(module, method):
                getattr(module, method)()
                break
    assert_equal(values_of(model), values_of(reference))
    assert all(tensor.device.type == "cpu" for tensor in tensors_of(model).values())


CALLS = [
    ("uniform_", (-1.0, 2.0), (7, 9)),
    ("normal_", (0.5, 2.0), (7, 9)),
    ("trunc_normal_", (0.0, 0.02, -0.04, 0.04), (7, 9)),
    ("xavier_uniform_", (2.0,), (7, 9)),
    ("xavier_normal_", (), (7, 9)),
    ("kaiming_uniform_", (math.sqrt(5),), (7, 9, 3)),
    ("kaiming_normal_", (0, "fan_out", "relu"), (7, 9)),
    ("orthogonal_", (2.0,), (7, 9)),
    ("sparse_", (0.3, 0.02), (7, 9)),
]


class Called(nn.Module):
    def __init__(self, function, arguments, shape, dtype):
        super().__init__()
        self.block = nn.Module()
        self.block.weight = nn.Parameter(torch.empty(shape, dtype=dtype))
        self.call = lambda: function(self.block.weight, *arguments)

    def reset_parameters(self):
        self.call()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("source", [nn.init, init], ids=["torch.nn.init", "tritoninit.init"])
@pytest.mark.parametrize(("name", "arguments", "shape"), CALLS)
def test_values_are_those_of_the_initializer_with_the_parameters_key(
    name, arguments, shape, source, dtype
):
    model = on_meta(lambda: Called(getattr(source, name), arguments, shape, dtype))
    tritoninit.materialize(model, "cpu", seed=11)
    expected = torch.empty(shape, dtype=dtype)
    key = Key(11).fold_in("block.weight")
    getattr(init, name)(expected, *arguments, generator=key)
    assert torch.equal(model.block.weight, expected)


def test_values_depend_on_the_name_and_the_seed_alone():
    class One(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 4), nn.Linear(3, 4)

    class Other(nn.Module):
        def __init__(self):
            super().__init__()
            self.b, self.c, self.a = nn.Linear(3, 4), nn.Conv1d(2, 3, 1), nn.Linear(3, 4)

    one, other, third = on_meta(One), on_meta(Other), on_meta(One)
    tritoninit.materialize(one, "cpu", seed=1)
    tritoninit.materialize(other, "cpu", seed=1)
    tritoninit.materialize(third, "cpu", seed=2)
    first = values_of(one)
    assert_equal(first, {name: values_of(other)[name] for name in first})
    assert not torch.equal(first["a.weight"], first["b.weight"])
    assert not torch.equal(first["a.weight"], values_of(third)["a.weight"])


def test_a_llama_style_model_and_its_ties():
    model = build(64, 2, True, torch.bfloat16)
    weight = model.embedding.weight
    plan = tritoninit.materialize(model, "cpu", seed=5)
    assert model.embedding.weight is weight
    assert model.head.weight is weight
    assert plan.fills[0].aliases == ("head.weight",)
    key = Key(5).fold_in("embedding.weight")
    expected = init.normal_(torch.empty(weight.shape, dtype=weight.dtype), std=0.02, generator=key)
    assert torch.equal(weight, expected)
    rotary = model.rotary.inverse_frequencies
    assert rotary.dtype == torch.float32
    assert torch.equal(rotary, inverse_frequencies())
    assert "rotary.inverse_frequencies" not in model.state_dict()
    assert {t.device.type for t in tensors_of(model).values()} == {"cpu"}


def test_embedding_padding_row_is_zero_and_the_rest_drawn():
    model = on_meta(lambda: nn.Embedding(10, 4, padding_idx=3))
    tritoninit.materialize(model, "cpu")
    expected = init.normal_(torch.empty(10, 4), generator=Key(0).fold_in("weight"))
    expected[3] = 0
    assert torch.equal(model.weight, expected)


class Written(nn.Module):
    def __init__(self, code, shape=(6, 8), dtype=torch.float32):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape, dtype=dtype))
        self.code = code

    @torch.no_grad()
    def reset_parameters(self):
        self.code(self.weight)


def materialized(code, **kwargs):
    model = on_meta(lambda: Written(code, **kwargs))
    tritoninit.materialize(model, "cpu")
    return model.weight.detach()


def test_parts_are_drawn_row_major_in_the_view_with_a_key_each():
    def code(w):
        nn.init.normal_(w[:2])
        nn.init.uniform_(w[2:].t(), -1, 1)
        w.data[:, 7] = 3

    expected = torch.empty(6, 8)
    key = Key(0).fold_in("weight")
    init.normal_(expected[:2], generator=key)
    expected[2:] = init.uniform_(torch.empty(8, 4), -1, 1, generator=key.fold_in(1)).t()
    expected[:, 7] = 3
    assert torch.equal(materialized(code), expected)


def test_chains_are_replayed():
    def code(w):
        w.uniform_(-0.9, 0.9).erfinv_().mul_(math.sqrt(2)).add_(0.5, alpha=2)
        w[0].clamp_(min=0).neg_()

    expected = init.uniform_(torch.empty(6, 8), -0.9, 0.9, generator=Key(0).fold_in("weight"))
    expected.erfinv_().mul_(math.sqrt(2)).add_(0.5, alpha=2)
    expected[0].clamp_(min=0).neg_()
    assert torch.equal(materialized(code), expected)


def test_copies_are_broadcast_and_cast_once_to_the_dtype():
    source = torch.linspace(0, 1, 8, dtype=torch.float64)
    result = materialized(lambda w: w.copy_(source), dtype=torch.bfloat16)
    assert torch.equal(result, source.to(torch.bfloat16).expand(6, 8))


def test_copies_of_equal_bytes_keep_their_shapes_and_dtypes():
    numbers = torch.tensor([1.0, 2.0, 4.0])

    def code(w):
        w[:3, :3].copy_(numbers)
        w[3:, :3].copy_(numbers[:, None])
        w[:, 3:6].copy_(numbers.view(torch.int32))
        w[:, 6:] = 0

    expected = torch.empty(6, 8)
    code(expected)
    assert torch.equal(materialized(code), expected)


def test_copied_values_are_those_at_the_time_of_the_copy():
    def code(w):
        source = torch.ones(8, device="cpu")
        w.copy_(source)
        source.zero_()

    assert torch.equal(materialized(code), torch.ones(6, 8))


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(2**60 + 1, torch.int64), (True, torch.bool), (1.5 - 2j, torch.complex64), (0.1, torch.half)],
)
def test_constants_are_exact_in_every_dtype(value, dtype):
    model = nn.Module()
    model.register_buffer("constant", torch.empty(3, dtype=dtype, device="meta"))
    model.reset_parameters = lambda: model.constant.fill_(value)
    tritoninit.materialize(model, "cpu")
    assert torch.equal(model.constant, torch.full((3,), value, dtype=dtype))


def test_channels_last_keeps_its_strides_and_the_logical_values():
    plain = on_meta(lambda: nn.Conv2d(4, 6, 3))
    strided = on_meta(lambda: nn.Conv2d(4, 6, 3)).to(memory_format=torch.channels_last)
    strides = strided.weight.stride()
    tritoninit.materialize(plain, "cpu")
    tritoninit.materialize(strided, "cpu")
    assert strided.weight.stride() == strides != plain.weight.stride()
    assert torch.equal(strided.weight, plain.weight)
