"""ZeRO-3 on real ranks with DeepSpeed itself, where it is installed (tried with 0.19.8)."""

import importlib.util
import os
import warnings
from unittest.mock import patch

import pytest
import torch
from torch import nn

import tritoninit
from tests.distributed.compare import SEED, reference
from tests.distributed.launch import run
from tests.distributed.models import Block, Net, values
from tritoninit.adapters import zero3

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("deepspeed") is None,
    reason="deepspeed is not installed; tests/unit/test_zero3.py has its attributes",
)


def configured(**options):
    return {"train_micro_batch_size_per_gpu": 1, "zero_optimization": {"stage": 3}, **options}


def imported(rank):
    """DeepSpeed on the CPU, in the process group that there is."""
    os.environ |= {"DS_ACCELERATOR": "cpu", "LOCAL_RANK": str(rank)}
    warnings.simplefilter("ignore")  # its own
    import deepspeed

    deepspeed.init_distributed("gloo", auto_mpi_discovery=False, verbose=False)
    return deepspeed


def partitioned(deepspeed, build, **options):
    with deepspeed.zero.Init(config_dict_or_path=configured(**options)):
        return build()


def check_gathered(deepspeed, model, expected):
    for name, parameter in model.named_parameters():
        with deepspeed.zero.GatheredParameters([parameter]):
            assert torch.equal(parameter, expected[name]), name


def plain():
    """zero.Init makes every parameter in the configured dtype."""
    return Net().float()


def check_partitions(rank):
    deepspeed = imported(rank)
    expected = values(reference(plain))
    model = partitioned(deepspeed, Net)
    for parameter in model.parameters():
        parameter.ds_tensor.fill_(77)
    made = zero3.initialize(model, SEED)
    assert made.key == tritoninit.Key(SEED)
    assert model.head.weight is model.embedding.weight
    check_gathered(deepspeed, model, expected)
    for name, parameter in model.named_parameters():
        piece = parameter.ds_tensor
        assert parameter.numel() == 0, name
        assert not piece[max(0, parameter.ds_numel - rank * piece.numel()) :].any(), name
        del parameter.ds_zero_partition_rank, parameter.ds_zero_partition_world_size
        piece.fill_(77)
    zero3.initialize(model, SEED)  # as in releases that keep the group alone
    check_gathered(deepspeed, model, expected)


def check_bfloat16(rank):
    deepspeed = imported(rank)
    model = partitioned(deepspeed, Block, bf16={"enabled": True})
    zero3.initialize(model, SEED)
    check_gathered(deepspeed, model, values(reference(lambda: Block().bfloat16())))


def check_engine(rank):
    deepspeed = imported(rank)
    expected = values(reference(Block))
    optimizer = {"type": "Adam", "params": {"torch_adam": True, "lr": 1e-3}}
    config = configured(optimizer=optimizer, zero_allow_untested_optimizer=True)
    model = partitioned(deepspeed, Block)
    zero3.initialize(model, SEED)
    engine, *_ = deepspeed.initialize(model=model, config=config)
    check_gathered(deepspeed, model, expected)
    masters = [p.detach() for p in engine.optimizer.fp32_partitioned_groups_flat]
    pieces = torch.cat([p.ds_tensor for p in model.parameters()])
    assert torch.equal(torch.cat(masters), pieces)
    with pytest.raises(TypeError, match=r"got a DeepSpeedEngine; pass its \.module"):
        zero3.initialize(engine, SEED)
    with pytest.raises(ValueError, match="has its own copy in the optimizer"):
        zero3.initialize(model, SEED)


def check_engine_without_optimizer(rank):
    deepspeed = imported(rank)
    model = partitioned(deepspeed, Block)
    engine, *_ = deepspeed.initialize(model=model, config=configured())
    containers = [module._parameters for module in model.modules()]
    names = list(values(model))
    zero3.initialize(engine.module, SEED)
    for module, container in zip(model.modules(), containers, strict=True):
        assert module._parameters is container
    assert list(values(model)) == names
    check_gathered(deepspeed, model, values(reference(Block)))


def check_disagreement(rank):
    deepspeed = imported(rank)
    model = partitioned(deepspeed, Block)
    held = [parameter.ds_tensor.clone() for parameter in model.parameters()]
    with pytest.raises(tritoninit.RankError, match=r"would not write the same model"):
        zero3.initialize(model, SEED + rank)
    if rank:
        model.up.weight.ds_tensor.ds_quant_scale = 1.0
    error = ValueError if rank else tritoninit.RankError
    with pytest.raises(error, match=r"the partition of up\.weight is quantised"):
        zero3.initialize(model, SEED)
    for parameter, before in zip(model.parameters(), held, strict=True):
        assert torch.equal(parameter.ds_tensor, before)


def check_init_code_sees_no_partition(rank):
    """transformers gathers a partitioned weight before it writes it; a stand-in is none."""
    deepspeed = imported(rank)
    model = partitioned(deepspeed, Block)
    model.up.bias.keep = 2.0

    def init_fn(module):
        for parameter in module.parameters(recurse=False):
            with deepspeed.zero.GatheredParameters([parameter], modifier_rank=0):
                nn.init.constant_(parameter, getattr(parameter, "keep", 1.0))

    with patch("deepspeed.comm.all_gather_into_tensor", side_effect=AssertionError("gathered")):
        zero3.initialize(model, SEED, init_fn)
    assert (model.up.bias.ds_tensor == 2).all()
    assert (model.up.weight.ds_tensor == 1).all()
    assert model.up.bias.keep == 2.0


@pytest.mark.parametrize(
    "check",
    [
        check_partitions,
        check_bfloat16,
        check_engine,
        check_engine_without_optimizer,
        check_disagreement,
        check_init_code_sees_no_partition,
    ],
)
def test_real_partitions(check):
    run(check, 2)
