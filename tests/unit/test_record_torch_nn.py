"""Every module of torch.nn that holds tensors: under record() it is what it is on the CPU."""

import inspect
import math

import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn.utils import parametrizations

import tritoninit
from tests.unit.models import tensors_of
from tritoninit.recording import RecordError

LEVEL = 1e-6  # of one comparison; there are some 200


def parametrized(wrap, **kwargs):
    return lambda: wrap(nn.Linear(6, 5), **kwargs)


MODULES = {
    "AdaptiveLogSoftmaxWithLoss": lambda: nn.AdaptiveLogSoftmaxWithLoss(16, 40, [10, 20]),
    "BCELoss": lambda: nn.BCELoss(torch.tensor([0.5, 2.0])),
    "BCEWithLogitsLoss": lambda: nn.BCEWithLogitsLoss(pos_weight=torch.tensor([0.5, 2.0])),
    "CrossEntropyLoss": lambda: nn.CrossEntropyLoss(torch.arange(3.0) + 1),
    "MultiLabelSoftMarginLoss": lambda: nn.MultiLabelSoftMarginLoss(torch.linspace(0, 1, 4)),
    "MultiMarginLoss": lambda: nn.MultiMarginLoss(weight=torch.full((3,), 0.25)),
    "NLLLoss": lambda: nn.NLLLoss(1 / (1 + torch.arange(4.0))),
    "NLLLoss2d": None,  # a deprecated name
    "BatchNorm1d": lambda: nn.BatchNorm1d(6),
    "BatchNorm2d": lambda: nn.BatchNorm2d(6),
    "BatchNorm3d": lambda: nn.BatchNorm3d(6),
    "SyncBatchNorm": lambda: nn.SyncBatchNorm(6),
    "Bilinear": lambda: nn.Bilinear(3, 4, 5),
    "Conv1d": lambda: nn.Conv1d(4, 6, 3),
    "Conv2d": lambda: nn.Conv2d(4, 6, 3, groups=2),
    "Conv3d": lambda: nn.Conv3d(4, 6, 3),
    "ConvTranspose1d": lambda: nn.ConvTranspose1d(4, 6, 3),
    "ConvTranspose2d": lambda: nn.ConvTranspose2d(4, 6, 3),
    "ConvTranspose3d": lambda: nn.ConvTranspose3d(4, 6, 3),
    "Embedding": lambda: nn.Embedding(20, 6, padding_idx=3),
    "EmbeddingBag": lambda: nn.EmbeddingBag(20, 6, padding_idx=0),
    "FractionalMaxPool2d": lambda: nn.FractionalMaxPool2d(
        3, output_size=2, _random_samples=torch.rand(2, 9, 2)
    ),
    "FractionalMaxPool3d": lambda: nn.FractionalMaxPool3d(
        3, output_size=2, _random_samples=torch.rand(2, 9, 3)
    ),
    "GRU": lambda: nn.GRU(3, 4, num_layers=2),
    "GRUCell": lambda: nn.GRUCell(3, 4),
    "GroupNorm": lambda: nn.GroupNorm(2, 4),
    "InstanceNorm1d": lambda: nn.InstanceNorm1d(4, affine=True, track_running_stats=True),
    "InstanceNorm2d": lambda: nn.InstanceNorm2d(4, affine=True, track_running_stats=True),
    "InstanceNorm3d": lambda: nn.InstanceNorm3d(4, affine=True, track_running_stats=True),
    "LSTM": lambda: nn.LSTM(3, 4, bidirectional=True, proj_size=2),
    "LSTMCell": lambda: nn.LSTMCell(3, 4),
    "LayerNorm": lambda: nn.LayerNorm((3, 4)),
    "Linear": lambda: nn.Linear(6, 5),
    "MultiheadAttention": lambda: nn.MultiheadAttention(8, 2, add_bias_kv=True),
    "PReLU": lambda: nn.PReLU(3, init=0.3),
    "ParameterDict": lambda: nn.ParameterDict({"a": torch.randn(40) * 3, "b": torch.zeros(2)}),
    "ParameterList": lambda: nn.ParameterList([torch.rand(40) + 2, torch.tensor([1.0, 2.0])]),
    "RMSNorm": lambda: nn.RMSNorm(7),
    "RNN": lambda: nn.RNN(3, 4),
    "RNNBase": lambda: nn.RNNBase("GRU", 3, 4),
    "RNNCell": lambda: nn.RNNCell(3, 4),
    "RNNCellBase": lambda: nn.RNNCell(3, 4),
    "Transformer": lambda: nn.Transformer(8, 2, 1, 1, 16, batch_first=True),
    "TransformerDecoder": lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), 2),
    "TransformerDecoderLayer": lambda: nn.TransformerDecoderLayer(8, 2, 16),
    "TransformerEncoder": lambda: nn.TransformerEncoder(
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2
    ),
    "TransformerEncoderLayer": lambda: nn.TransformerEncoderLayer(8, 2, 16),
    "weight_norm": parametrized(parametrizations.weight_norm),
    "weight_norm over columns": parametrized(parametrizations.weight_norm, dim=1),
    "spectral_norm": parametrized(parametrizations.spectral_norm),
    "orthogonal": parametrized(parametrizations.orthogonal, use_trivialization=False),
}


def test_the_modules_are_all_of_torch_nn_that_hold_tensors():
    stateless = set()
    for name, cls in inspect.getmembers(nn, inspect.isclass):
        if not issubclass(cls, nn.Module) or name in {*MODULES, "Module"} or "Lazy" in name:
            continue
        source = inspect.getsource(cls)
        assert "Parameter(" not in source, name
        assert "register_buffer(" not in source, name
        stateless.add(name)
    assert {"ReLU", "MaxPool2d", "Dropout", "Sequential"} <= stateless


def agree(ours, theirs):
    """Two samples of one distribution, as far as mean, std and KS can tell."""
    a, b = ours.double().flatten(), theirs.double().flatten()
    if a.numel() < 8:
        return True
    error = math.sqrt((a.var() + b.var()) / a.numel())
    return (
        abs(a.mean() - b.mean()) <= 6 * error
        and stats.ks_2samp(a.numpy(), b.numpy()).pvalue > LEVEL
    )


@pytest.mark.parametrize("name", [name for name, make in MODULES.items() if make is not None])
def test_it_is_what_it_is_on_the_cpu(name):
    with tritoninit.record():
        model = MODULES[name]()
    assert all(tensor.is_meta for tensor in tensors_of(model).values())
    first = tritoninit.materialize(model, "cpu", seed=0)
    torch.manual_seed(0)
    one, two = tensors_of(MODULES[name]()), tensors_of(MODULES[name]())
    ours = tensors_of(model)
    assert ours.keys() == one.keys() != set()
    assert len(first.fills) == len(ours)
    for key, value in ours.items():
        assert (value.dtype, value.shape) == (one[key].dtype, one[key].shape)
        if torch.equal(one[key], two[key]):  # no draw in it
            assert torch.equal(value, one[key]), key
        else:
            assert value.unique().numel() > 1 or value.numel() == 1
            assert agree(value.detach(), one[key].detach()), key


def test_lazy_modules_are_refused():
    with tritoninit.record():
        model = nn.Sequential(nn.LazyLinear(3), nn.LazyConv2d(4, 3))
    with pytest.raises(RecordError, match=r"0\.weight of LazyLinear is lazy"):
        tritoninit.plan(model)


def test_weight_norm_begins_with_the_norm_of_its_own_direction():
    with tritoninit.record():
        model = parametrizations.weight_norm(nn.Linear(6, 5))
    tritoninit.materialize(model, "cpu", seed=4)
    held = model.parametrizations.weight
    assert torch.equal(held.original0, held.original1.norm(dim=1, keepdim=True))
    torch.testing.assert_close(model.weight, held.original1)


def test_spectral_norm_begins_at_the_top_singular_value():
    with tritoninit.record():
        model = parametrizations.spectral_norm(nn.Linear(6, 5), n_power_iterations=50)
    tritoninit.materialize(model, "cpu")
    top = torch.linalg.matrix_norm(model.eval().weight, 2)
    torch.testing.assert_close(top, torch.ones(()), rtol=1e-3, atol=0)
