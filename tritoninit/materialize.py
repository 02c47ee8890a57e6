"""From a model on meta to a model with values: plan, agree, allocate, fill, bind."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch
from torch import nn

from tritoninit import fsdp2
from tritoninit.agreement import meshes_of, together
from tritoninit.dtensor import is_dtensor, parts_of
from tritoninit.memory import allocate, bind
from tritoninit.plan import Plan, readable_bytes
from tritoninit.progress import progress
from tritoninit.stream import Key
from tritoninit.writing import write_parts, write_whole

if TYPE_CHECKING:
    from tritoninit.recording import InitFn, Recording, Target

logger = logging.getLogger("tritoninit")


def plan(model: nn.Module, seed: int | Key = 0, init_fn: InitFn | None = None) -> Plan:
    """What :func:`materialize` would write, without touching memory or the model.

    Args:
        model: the model; its tensors on meta are planned, others are left out.
        seed: an int in [-2**63, 2**64 - 1], or a Key.  The key of parameter ``name`` is
            ``Key(seed).fold_in(name)``, then ``.fold_in(1)``, ... for its later draws.
        init_fn: called with every module, children first, in the place of the modules' own
            init code.

    Raises:
        tritoninit.recording.RecordError: a tensor on meta has no recipe.
        TypeError: model is not a module, or seed neither an int nor a Key.
    """
    return _planned(model, seed, init_fn)[1]


def materialize(
    model: nn.Module,
    device: str | torch.device | None = None,
    seed: int | Key = 0,
    init_fn: InitFn | None = None,
) -> Plan:
    """Give every parameter and buffer on meta memory on ``device`` and its initial values.

    The values come from running the model's own init code on shadows: ``init_fn`` for every
    module, or else ``reset_parameters()`` / ``_reset_parameters()`` of every module, children
    first, and then ``init_weights()`` / ``initialize_weights()`` of the outermost modules that
    have it.  Random values depend on (seed, parameter name, draw, element index) alone: an
    initializer's values are those of ``tritoninit.init`` with ``generator=Key(seed).fold_in(
    name)``.  The global generators are neither read nor advanced, and a torch.Generator that
    init code passes is not either.

    Tensors that are not on meta keep their values.  Tied tensors stay tied, and parameters stay
    the same objects, with their attributes and hooks; where torch cannot keep an object
    (something holds a weak reference to it or a view of it) every name is bound to the new one,
    which is logged.

    Args:
        model: the model, on meta in whole or in part.
        device: where to allocate; None means "cuda" where there is one, else "cpu".
        seed: see :func:`plan`.
        init_fn: see :func:`plan`.

    Returns:
        The plan that was carried out.

    Raises:
        tritoninit.recording.RecordError: a tensor on meta has no recipe.  Nothing has been
            allocated or written then.
        ValueError: device is meta.
        TypeError: model is not a module, or seed neither an int nor a Key.
    """
    _check_model(model)
    meshes = meshes_of(model)
    with together(meshes, "planning") as agreed:
        recording, made = _planned(model, seed, init_fn)
        devices = _devices(recording.targets, device, fsdp2.offloaded(model))
        agreed.append(made)
    tensors = []
    padded = fsdp2.padded(model)
    with together(meshes, "filling"), progress(made.nbytes, "materialize") as advance:
        for entry, target, place in zip(made.fills, recording.targets, devices, strict=True):
            tensor = allocate(target.tensor, place, padded.get(id(target.tensor)))
            if is_dtensor(tensor):
                write_parts(entry, parts_of(tensor), recording.sources)
            else:
                write_whole(entry, tensor, recording.sources)
            tensors.append(tensor)
            advance(entry.nbytes)
    replaced = [
        target.name
        for target, tensor in zip(recording.targets, tensors, strict=True)
        if not bind(target, tensor)
    ]
    fsdp2.adopt_parameters(model)
    for module, attributes in recording.attributes:
        vars(module).update(attributes)
    if replaced:
        logger.warning(
            "torch could not keep the objects of %s; whatever held them, such as an optimizer made"
            " before, must be given the new ones",
            ", ".join(replaced),
        )
    logger.info("materialized %s of %s", readable_bytes(made.nbytes), type(model).__name__)
    return made


def _devices(
    targets: list[Target], device: str | torch.device | None, offloaded: set[int]
) -> list[torch.device]:
    """Where each tensor is allocated.

    Raises:
        ValueError: device is meta, or not where a DTensor's local part has to lie.
    """
    given = None if device is None else torch.device(device)
    if given is not None and given.type == "meta":
        raise ValueError("device must be a device with memory, got meta")
    plain = given or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    places = []
    for target in targets:
        place = plain
        if is_dtensor(target.tensor):
            mesh = target.tensor.device_mesh.device_type
            kind, reason = mesh, f"its mesh is of {mesh} devices"
            if id(target.tensor) in offloaded:
                kind, reason = "cpu", "its CPUOffloadPolicy keeps it there"
            if given is not None and given.type != kind:
                raise ValueError(
                    f"device is {given}, but {target.name} must lie on {kind}: {reason}; pass"
                    f" device={kind!r}, or None for each tensor's own"
                )
            place = given or torch.device(kind)
        places.append(place)
    return places


def _check_model(model: object) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")


def _planned(model: nn.Module, seed: int | Key, init_fn: InitFn | None) -> tuple[Recording, Plan]:
    from tritoninit.recording import record_model  # a third of the time of `import tritoninit`

    _check_model(model)
    if init_fn is not None and not callable(init_fn):
        raise TypeError(f"init_fn must be callable or None, got {type(init_fn).__name__}")
    key = seed if isinstance(seed, Key) else Key(seed)
    recording = record_model(model, init_fn)
    return recording, Plan(key, recording.fills(key))
