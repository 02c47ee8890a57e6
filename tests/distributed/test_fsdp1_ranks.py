"""FSDP1 on real ranks: wrapped from meta, it holds the plain model's values."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel as FSDP
from torch.distributed.fsdp import ShardingStrategy
from torch.distributed.fsdp.wrap import ModuleWrapPolicy

import tritoninit
from tests.distributed.compare import SEED, reference
from tests.distributed.launch import run
from tests.distributed.models import Block, on_meta, values
from tritoninit import init
from tritoninit.adapters.fsdp1 import param_init_fn

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
CPU = torch.device("cpu")


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(50, 24, padding_idx=3)
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.head = nn.Linear(24, 50, bias=False)
        self.head.weight = self.embedding.weight
        self.register_buffer("frequency", torch.empty(6), persistent=False)

    @torch.no_grad()
    def reset_parameters(self):
        self.frequency.copy_(torch.arange(6.0))
        self.marked = True

    def forward(self, x):
        x = self.embedding(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x).square().mean() + self.frequency.sum()


def check_wrapped(rank):
    import warnings

    warnings.simplefilter("ignore", FutureWarning)  # FSDP1 says that it is deprecated
    plain = reference(Tied)
    expected = values(plain)
    wrap = partial(FSDP, device_id=CPU, auto_wrap_policy=ModuleWrapPolicy({Block}))
    for use_orig_params in (True, False):
        model = on_meta(Tied)
        fill = param_init_fn(model, SEED, device="cpu")
        wrapped = wrap(model, param_init_fn=fill, use_orig_params=use_orig_params)
        with FSDP.summon_full_params(wrapped):
            found = values(wrapped)
            held = {name.replace("_fsdp_wrapped_module.", ""): t for name, t in found.items()}
            assert held.keys() == expected.keys()
            for name, tensor in held.items():
                assert torch.equal(tensor, expected[name]), (name, use_orig_params)
        assert wrapped.module.marked
        tokens = torch.arange(8).view(2, 4)
        wrapped(tokens).backward()
        torch.testing.assert_close(wrapped(tokens), plain(tokens))


def check_flat_run(rank):
    """A rank's flat shard of one parameter is a flat run of it."""
    import warnings

    warnings.simplefilter("ignore", FutureWarning)
    weight = nn.Linear(7, 5, bias=False, device="meta")
    fill = param_init_fn(weight, SEED, device="cpu")
    strategy = ShardingStrategy.FULL_SHARD
    wrapped = FSDP(weight, device_id=CPU, param_init_fn=fill, sharding_strategy=strategy)
    shard = next(wrapped.parameters()).detach().view(-1)
    length = min(shard.numel(), 35 - rank * shard.numel())
    run = torch.empty(length)
    init.kaiming_uniform_(
        run,
        a=5**0.5,
        generator=tritoninit.Key(SEED).fold_in("weight"),
        global_shape=(5, 7),
        global_offset=rank * shard.numel(),
    )
    assert torch.equal(shard[:length], run)


def test_wrapped_models_hold_the_plain_models_values():
    run(check_wrapped, 2)


def test_flat_shards_are_flat_runs():
    run(check_flat_run, 2)


def test_a_module_of_another_model_is_refused():
    fill = param_init_fn(on_meta(Tied), SEED, device="cpu")
    with pytest.raises(ValueError, match="a Linear with tensors on meta is not part of the model"):
        fill(nn.Linear(2, 2, device="meta"))


def test_a_second_call_changes_nothing():
    model = on_meta(Tied)
    fill = param_init_fn(model, SEED, device="cpu")
    fill(model.head)
    with torch.no_grad():
        model.head.weight.zero_()
    fill(model.head)
    fill(model.embedding)
    assert model.embedding.weight is model.head.weight
    assert not model.head.weight.any()


def test_bad_arguments():
    with pytest.raises(ValueError, match="device must be a device with memory, got meta"):
        param_init_fn(on_meta(Tied), device="meta")
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module"):
        param_init_fn("model")
