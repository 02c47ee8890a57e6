"""Architectures of transformers, recorded and then sharded over two ranks by FSDP2."""

import warnings

import torch
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

import tritoninit
from tests.distributed.compare import assert_equal_to_unsharded
from tests.distributed.launch import run
from tests.distributed.models import values
from tests.unit.transformers_sample import KINDS, build


def recorded(kind):
    with tritoninit.record():
        return build(kind)


def shard(model):
    """The innermost modules of lists, such as a decoder's layers, and then the model.

    FSDP2 takes no scalars, and nothing that is sharded already (layers in two lists).
    """
    scalars = {parameter for parameter in model.parameters() if parameter.dim() == 0}
    for module in reversed(list(model.modules())):
        for child in module if isinstance(module, nn.ModuleList) else ():
            parameters = list(child.parameters())
            if parameters and not any(isinstance(p, DTensor) for p in parameters):
                fully_shard(child, ignored_params=scalars)
    fully_shard(model, ignored_params=scalars)


def check(rank, kinds):
    warnings.simplefilter("ignore")
    for kind in kinds:
        plain, model = recorded(kind), recorded(kind)
        tritoninit.materialize(plain, "cpu", seed=0)
        for parameter in model.parameters():
            parameter.requires_grad_(parameter.dtype.is_floating_point)
        shard(model)
        tritoninit.materialize(model, seed=0)
        try:
            assert any(isinstance(tensor, DTensor) for tensor in values(model).values())
            assert_equal_to_unsharded(model, plain)
        except AssertionError as error:
            raise AssertionError(f"{kind}: {error}") from error


def test_each_holds_the_bits_of_the_unsharded_model():
    torch.manual_seed(0)
    run(check, 2, KINDS, timeout=200)
