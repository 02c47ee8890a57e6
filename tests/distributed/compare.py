"""Sharded models beside the unsharded one."""

import torch
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

import tritoninit
from tests.distributed.models import Net, on_meta, values

SEED = 0


def whole(tensor):
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def assert_equal_to_unsharded(model, reference):
    """Every tensor gathered by torch, every shard as torch cuts it, and the fingerprint."""
    expected = values(reference)
    for name, tensor in values(model).items():
        name = name.replace("_checkpoint_wrapped_module.", "").replace("_orig_mod.", "")
        want = expected.pop(name)
        assert tensor.dtype == want.dtype, name
        assert torch.equal(whole(tensor).detach().cpu(), want), name
        if isinstance(tensor, DTensor):
            placements = tensor.placements
            if all(type(p) in (Shard, Replicate) for p in placements):
                mesh = tensor.device_mesh
                cut = distribute_tensor(want.detach(), mesh, placements, src_data_rank=None)
                assert torch.equal(tensor._local_tensor, cut._local_tensor), name
    assert not expected
    assert tritoninit.fingerprint(model) == tritoninit.fingerprint(reference)


def reference(build=Net, **options):
    model = on_meta(build)
    tritoninit.materialize(model, device="cpu", seed=SEED, **options)
    return model
