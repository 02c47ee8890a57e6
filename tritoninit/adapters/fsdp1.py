"""FSDP1: ``FullyShardedDataParallel(model, param_init_fn=...)`` on a model on meta."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import nn

from tritoninit.materialize import record_plan
from tritoninit.memory import allocate, bind
from tritoninit.stream import Key
from tritoninit.writing import write_whole

if TYPE_CHECKING:
    from tritoninit.recording import InitFn


def param_init_fn(
    model: nn.Module,
    seed: int | Key = 0,
    init_fn: InitFn | None = None,
    device: str | torch.device | None = None,
) -> Callable[[nn.Module], None]:
    """What to pass as ``param_init_fn`` when FSDP1 wraps ``model``.

    The model's init code is recorded once, here, before it is wrapped.  FSDP1 then hands every
    module to the returned function, which gives the tensors that the module itself holds their
    memory and values: those of :func:`tritoninit.materialize` of the same model and seed, bit
    for bit.  FSDP1 holds the modules of one wrapped unit whole before it shards them; for local
    shards alone use ``fully_shard``.

    Args:
        model: the model on meta, not wrapped yet.
        seed: see :func:`tritoninit.plan`.
        init_fn: see :func:`tritoninit.plan`.
        device: where to allocate; None means "cuda" where there is one, else "cpu".

    Raises:
        tritoninit.recording.RecordError: a tensor on meta has no recipe.
        ValueError: device is meta.
        TypeError: model is not a module, or seed neither an int nor a Key.

    The returned function leaves tensors that have values alone, and raises ValueError for a
    module with tensors on meta that was not part of the model.
    """
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if place.type == "meta":
        raise ValueError("device must be a device with memory, got meta")
    recording, made = record_plan(model, seed, init_fn)
    planned = dict(zip(recording.targets, made.fills, strict=True))
    known = {id(module): module for module in model.modules()}
    attributes = {id(module): values for module, values in recording.attributes}

    def initialize(module: nn.Module) -> None:
        own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
        if id(module) not in known and any(tensor.is_meta for tensor in own):
            raise ValueError(
                f"a {type(module).__name__} with tensors on meta is not part of the model that"
                " param_init_fn was made for; make it for the model that is wrapped"
            )
        for target, entry in planned.items():
            if target.tensor.is_meta and any(slot.module is module for slot in target.slots):
                tensor = allocate(target.tensor, place)
                write_whole(entry, tensor, recording.sources)
                bind(target, tensor)
        vars(module).update(attributes.pop(id(module), {}))

    return initialize
