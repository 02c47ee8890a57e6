"""Drop-in calls on gloo ranks: every shard is the slice of the single-process model."""

import copy
import hashlib
from contextlib import contextmanager
from unittest import mock

import pytest
import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.debug import CommDebugMode

from tests.distributed.drop_in import LAYOUTS, Mixer, fsdp_over_tensor_parallel, init_weights
from tests.distributed.launch import run

SEED = 17
COLLECTIVES = [
    *("all_reduce", "all_gather", "all_gather_into_tensor", "all_gather_object", "all_to_all"),
    *("all_to_all_single", "barrier", "broadcast", "broadcast_object_list", "gather", "reduce"),
    *("reduce_scatter", "reduce_scatter_tensor", "scatter", "send", "recv", "isend", "irecv"),
]


def single_process():
    """The model as one process initializes it."""
    torch.manual_seed(SEED)
    model = Mixer()
    torch.manual_seed(SEED)
    init_weights(model)
    return model


def digest(model):
    """The bytes of all parameters."""
    data = hashlib.blake2b()
    for name, parameter in model.named_parameters():
        data.update(name.encode())
        data.update(parameter.detach().contiguous().view(torch.uint8).numpy().tobytes())
    return data.hexdigest()


@contextmanager
def counted():
    """Collectives that ran within: by operator, and by torch.distributed's functions."""
    calls = []
    with contextmanager(_patched)(calls), CommDebugMode() as debug:
        yield lambda: (debug.get_total_counts(), calls)


def _patched(calls):
    def recording(name, original):
        def call(*args, **kwargs):
            calls.append(name)
            return original(*args, **kwargs)

        return call

    replaced = {name: recording(name, getattr(dist, name)) for name in COLLECTIVES}
    with mock.patch.multiple(dist, **replaced):
        yield


def local(parameter):
    return parameter._local_tensor if isinstance(parameter, DTensor) else parameter.detach()


def check_layouts(rank, ranks, layouts):
    """On every rank: sharded after init is init after sharding.  What was seen, for the parent."""
    single = single_process()
    seen = {"digest": digest(single), "layouts": {}}
    state = torch.get_rng_state()
    for shard in layouts:
        expected = dict(shard(copy.deepcopy(single), ranks).named_parameters())
        with torch.device("meta"):
            model = Mixer()
        shard(model, ranks)
        model.to_empty(device="cpu")
        for parameter in model.parameters():
            local(parameter).fill_(float("nan"))
        torch.manual_seed(SEED)
        with counted() as count:
            init_weights(model)
            assert count() == (0, [])
            dist.all_reduce(torch.ones(1))
            assert count() == (1, ["all_reduce"])
        assert torch.equal(torch.get_rng_state(), state), "every rank draws as one process does"
        full = dict(single.named_parameters())
        for name, parameter in model.named_parameters():
            assert torch.equal(local(parameter), local(expected[name])), (shard.__name__, name)
            whole = parameter.full_tensor() if isinstance(parameter, DTensor) else parameter
            assert torch.equal(whole, full[name]), (shard.__name__, name)
        seen["layouts"][shard.__name__] = {
            name: (str(p.placements), tuple(local(p).shape))
            for name, p in model.named_parameters()
            if isinstance(p, DTensor)
        }
    return seen


@pytest.fixture(scope="module", params=[2, 4])
def seen(request):
    return run(check_layouts, request.param, request.param, LAYOUTS)


def test_every_ranks_single_process_model_is_this_processs(seen):
    assert {rank["digest"] for rank in seen} == {digest(single_process())}


def test_the_layouts_are_the_ones_meant(seen):
    """Uneven, empty, replicated and strided parts were among what the ranks checked."""
    ranks = len(seen)
    names = [shard.__name__ for shard in LAYOUTS]
    assert all(list(rank["layouts"]) == names for rank in seen)
    first, last = seen[0]["layouts"], seen[-1]["layouts"]
    assert last["fsdp"]["few"] == ("(Shard(dim=0),)", (0, 9))
    assert first["fsdp"]["identity"][1] != last["fsdp"]["identity"][1]
    assert first["fsdp_columns"]["gate.weight"] == ("(Shard(dim=1),)", (8, 4 // ranks, 3, 3))
    assert first["offloaded"] == first["fsdp"]
    assert set(first["tensor_parallel"]) == {
        *("up.weight", "up.bias", "down.weight", "down.bias", "norm.weight", "norm.bias")
    }
    assert first["tensor_parallel"]["down.weight"][0] == "(Shard(dim=1),)"
    assert first["tensor_parallel"]["norm.weight"] == ("(Replicate(),)", (10,))
    shapes = {rank["layouts"]["fsdp"]["up.weight"][1] for rank in seen}
    assert len(shapes) == 2, "the last part is shorter"
    strided = first["fsdp_over_tensor_parallel"]["up.weight"][0]
    assert strided == "(_StridedShard(dim=0, sf=2), Shard(dim=0))"
    assert first["hybrid"]["bf16"][0] == "(Replicate(), Shard(dim=0))"


def test_fsdp_over_tensor_parallelism_where_left_to_right_would_be_another_layout():
    """31 rows on 3 by 2 ranks; see test_sharding.  ``full_tensor`` agrees as well."""
    seen = run(check_layouts, 6, 6, [fsdp_over_tensor_parallel])
    shapes = [rank["layouts"]["fsdp_over_tensor_parallel"]["up.weight"][1] for rank in seen]
    assert [rows for rows, _ in shapes] == [6, 5, 6, 5, 4, 5]
