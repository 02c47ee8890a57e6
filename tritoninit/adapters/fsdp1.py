"""FSDP1: ``FullyShardedDataParallel(model, param_init_fn=...)`` on a model on meta."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import nn

from tritoninit.dtensor import is_dtensor
from tritoninit.materialize import record_plan
from tritoninit.memory import allocate, bind
from tritoninit.stream import Key
from tritoninit.writing import write_whole

if TYPE_CHECKING:
    from tritoninit.plan import Fill
    from tritoninit.recording import InitFn, Target

logger = logging.getLogger("tritoninit")


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
    shards alone use ``fully_shard``.  The ranks do not compare their plans: give every rank the
    same seed.  FSDP1 does not hand over ignored modules; :func:`tritoninit.materialize` fills
    them afterwards, under the same names.

    Args:
        model: the model on meta, not wrapped yet.
        seed: see :func:`tritoninit.plan`.
        init_fn: see :func:`tritoninit.plan`.
        device: where to allocate; None means "cuda" where there is one, else "cpu".

    Raises:
        tritoninit.recording.RecordError: a tensor on meta has no recipe.
        ValueError: device is meta, or a tensor on meta is a DTensor.
        TypeError: model is not a module, or seed neither an int nor a Key.

    The returned function leaves tensors that have values alone.  It raises ValueError for a
    module with tensors on meta that was not part of the model, and for a tensor whose tie FSDP1
    has cut: it keeps ties within one unit only.  (Where all that is left of the outer unit is
    the tied tensor, FSDP1 asks for nothing and cuts the tie silently, as on real tensors.)
    """
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if place.type == "meta":
        raise ValueError("device must be a device with memory, got meta")
    recording, made = record_plan(model, seed, init_fn)
    held: dict[nn.Module, list[tuple[Target, Fill]]] = {m: [] for m in model.modules()}
    for target, entry in zip(recording.targets, made.fills, strict=True):
        if is_dtensor(target.tensor):
            raise ValueError(f"{target.name} is a DTensor; FSDP1 is given plain tensors only")
        for owner in {slot.module for slot in target.slots}:
            held[owner].append((target, entry))
    attributes = dict(recording.attributes)
    filled: set[str] = set()

    def initialize(module: nn.Module) -> None:
        own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
        if module not in held and any(tensor.is_meta for tensor in own):
            raise ValueError(
                f"a {type(module).__name__} with tensors on meta is not part of the model that"
                " param_init_fn was made for; make it for the model that is wrapped"
            )
        for target, entry in held.get(module, ()):
            if target.name in filled:
                _check_tie(target)
                continue
            tensor = allocate(target.tensor, place)
            write_whole(entry, tensor, recording.sources)
            if not bind(target, tensor):
                logger.warning("torch could not keep the object of %s", target.name)
            filled.add(target.name)
        vars(module).update(attributes.pop(module, {}))

    return initialize


def _check_tie(target: Target) -> None:
    """Raise where FSDP1 has taken the tensor from another of the modules that share it."""
    first, *others = (getattr(module, key, None) for module, key in target.slots)
    cut = any(other is not first for other in others)
    if others and (cut or hasattr(first, "_fsdp_flattened")):
        raise ValueError(
            f"{' and '.join(target.names)} are tied, but FSDP1 has sharded one of them in a unit of"
            " its own; wrap their modules in one unit"
        )
