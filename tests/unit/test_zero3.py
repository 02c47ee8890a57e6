"""ZeRO-3 partitions, on parameters with the attributes that DeepSpeed 0.19.8 gives them.

DeepSpeed itself is no part of the environment: ``partition`` sets what its
``runtime/zero/partition_parameters.py`` publishes on a partitioned parameter.
"""

import math
from enum import Enum

import pytest
import torch

import tritoninit
from tests.distributed.models import Net, on_meta, values
from tritoninit.adapters import zero3

Status = Enum("Status", ["AVAILABLE", "NOT_AVAILABLE", "INFLIGHT"])
PADDING = 77.0


def partition(model, rank, ranks):
    """What ``deepspeed.zero.Init`` leaves of a model's parameters on one rank."""
    for parameter in model.parameters():
        size = math.ceil(parameter.numel() / ranks)
        parameter.ds_shape, parameter.ds_numel = parameter.shape, parameter.numel()
        parameter.ds_status = Status.NOT_AVAILABLE
        parameter.ds_tensor = torch.full((size,), PADDING, dtype=parameter.dtype)
        parameter.ds_tensor.ds_numel = size
        parameter.ds_tensor.status = Status.AVAILABLE
        parameter.ds_secondary_tensor = None
        parameter.ds_zero_partition_rank, parameter.ds_zero_partition_world_size = rank, ranks
        parameter.data = torch.empty(0, dtype=parameter.dtype)
    return model


def built():
    with torch.device("cpu"):
        return Net()


@pytest.fixture(scope="module")
def reference():
    model = on_meta(Net)
    plan = tritoninit.materialize(model, device="cpu", seed=3)
    return model, plan


@pytest.mark.parametrize("ranks", [1, 3, 64])
def test_partitions_are_runs_of_the_plain_model(reference, ranks):
    model, plan = reference
    gathered = {}
    for rank in range(ranks):
        part = partition(built(), rank, ranks)
        before = {name: id(p) for name, p in part.named_parameters()}
        versions = {name: p.ds_tensor._version for name, p in part.named_parameters()}
        made = zero3.initialize(part, seed=3)
        assert {name: id(p) for name, p in part.named_parameters()} == before
        assert part.head.weight is part.embedding.weight
        for name, parameter in part.named_parameters():
            gathered.setdefault(name, []).append(parameter.ds_tensor)
            assert parameter.numel() == 0
            assert parameter.ds_tensor._version > versions[name]
    expected = {name: p.detach() for name, p in model.named_parameters()}
    assert gathered.keys() == expected.keys()
    for name, pieces in gathered.items():
        flat = torch.cat(pieces)
        count = expected[name].numel()
        assert torch.equal(flat[:count], expected[name].reshape(-1)), name
        assert not flat[count:].any(), name
    planned = {fill.name: fill for fill in plan.fills}
    for fill in made.fills:
        assert fill.writes == planned[fill.name].writes


def test_buffers_keep_their_values():
    part = partition(built(), 0, 2)
    part.zoo.position.fill_(5)
    zero3.initialize(part)
    assert (part.zoo.position == 5).all()


def test_attributes_and_requires_grad_of_init_code():
    part = partition(built(), 0, 2)

    def init_fn(module):
        for parameter in module.parameters(recurse=False):
            torch.nn.init.zeros_(parameter)
            parameter.initialised = True
            parameter.requires_grad_(False)

    zero3.initialize(part, init_fn=init_fn)
    for parameter in part.parameters():
        assert parameter.initialised
        assert not parameter.requires_grad
        assert not parameter.ds_tensor.any()


def gather(p):
    p.ds_status = Status.AVAILABLE


def swap_out(p):
    p.ds_tensor.status = Status.NOT_AVAILABLE


def secondary(p):
    p.ds_secondary_tensor = p.ds_tensor


def quantise(p):
    p.ds_tensor.ds_quant_scale = 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (gather, r"blocks\.1\.up\.weight is gathered"),
        (swap_out, r"the partition of blocks\.1\.up\.weight is not in memory"),
        (secondary, r"blocks\.1\.up\.weight has a secondary partition"),
        (quantise, r"the partition of blocks\.1\.up\.weight is quantised"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is(change, message):
    part = partition(built(), 0, 2)
    change(part.blocks[1].up.weight)
    with pytest.raises(ValueError, match=message):
        zero3.initialize(part)
    assert all((p.ds_tensor == PADDING).all() for p in part.parameters())


def test_models_without_partitions_or_on_meta_are_refused():
    with pytest.raises(ValueError, match="no parameter of the model is partitioned"):
        zero3.initialize(built())
    part = partition(built(), 0, 2)
    part.extra = torch.nn.Parameter(torch.empty(2, device="meta"))
    with pytest.raises(ValueError, match="extra is on meta"):
        zero3.initialize(part)
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module"):
        zero3.initialize({})


def test_missing_recipes_leave_the_model_as_it_was():
    part = partition(built(), 0, 2)
    held = values(part)
    with pytest.raises(tritoninit.recording.RecordError):
        zero3.initialize(part, init_fn=lambda module: None)
    assert all(tensor is held[name] for name, tensor in values(part).items())
    assert all((p.ds_tensor == PADDING).all() for p in part.parameters())
