"""From a model on meta to a model with values: plan, agree, allocate, fill, bind."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tritoninit import fsdp2
from tritoninit.collector import paused
from tritoninit.dtensor import is_dtensor, meshes_of_model, parts_of
from tritoninit.layout import PLAIN_TYPES
from tritoninit.memory import allocate, bind
from tritoninit.plan import SKIPPED, Fill, Plan, readable_bytes
from tritoninit.progress import progress
from tritoninit.ranks.agreement import together
from tritoninit.ranks.collective import is_fake
from tritoninit.schedule import Held, write_all
from tritoninit.stream import Key

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.fsdp import FSDPModule

    from tritoninit.ranks.owners import Matrix
    from tritoninit.recording import InitFn, Recording, Target
    from tritoninit.recording.options import Skip

logger = logging.getLogger("tritoninit")


@contextmanager
def record() -> Iterator[None]:
    """Build a model on meta inside, remembering what its constructors do to its tensors.

    ::

        with tritoninit.record():
            model = build()
        tritoninit.materialize(model)

    The default device is meta inside.  :func:`plan` and :func:`materialize` then begin with what
    the constructors gave to each parameter and buffer: computed parameters
    (``nn.Parameter(torch.randn(n) * s)``), tables, parametrisations, copies of modules.  Init
    code runs after that, but for what the constructors ran themselves.  The record follows the
    module and the attribute, so the model may be sharded, wrapped or cast in between.  A
    parameter that escaped meta (``torch.Tensor(n)``) is put there at the end.  Numbers that
    follow from no draw can be read (``.item()``, ``.tolist()``, ``.cpu()``).  A deep copy of a
    module holds what the module does; a stored one has lost its record, and says so.

    What is written to the tensors after the end is an error of the plan, but for writes through
    ``.data``, of which torch shows nothing on meta: write inside, or in ``init_fn``.

    Raises:
        tritoninit.recording.RecordError: a random value was read as a number, or an operation
            cannot be recorded.
    """
    from tritoninit.recording import record_construction

    with record_construction():
        yield


@paused()
def plan(
    model: nn.Module,
    seed: int | Key = 0,
    init_fn: InitFn | None = None,
    *,
    skip: Skip = (),
    dtype: torch.dtype | None = None,
    strict: bool = True,
) -> Plan:
    """What :func:`materialize` would write, without touching memory or the model.

    Args:
        model: the model; its tensors on meta are planned, others are left out.
        seed: an int in [-2**63, 2**64 - 1], or a Key.  The key of parameter ``name`` is
            ``Key(seed).fold_in(name)``, then ``.fold_in(1)``, ... for its later draws.
        init_fn: called with every module, children first, in the place of the modules' own
            init code.
        skip: names of parameters and buffers, and of modules for all below them, that stay on
            meta, as they are; or a function of a name and its tensor, called for every one on
            meta, that is true of those.  A tied tensor is skipped under any of its names.  Init
            code runs all the same: the others' values do not depend on what is skipped.
        dtype: what floating-point parameters on meta will have; None keeps theirs.  Buffers,
            integers and complex numbers keep theirs.  Values are computed in float32, whatever
            the model's dtype, and rounded once: draws are those of ``tritoninit.init`` on a
            tensor of this dtype, and float64 has its own.  (Not so what a constructor computed
            from others under :func:`record`: that is rounded from the dtype it ran in.)
        strict: whether a tensor on meta without a recipe is an error.  If not, it stays on meta,
            and the plan says why.

    Raises:
        tritoninit.recording.RecordError: tensors on meta have no recipe; all are named.
        TypeError: an argument of another type.
        ValueError: skip holds a name that the model does not have, or dtype is not float32,
            bfloat16, float16 or float64.
    """
    return record_plan(model, seed, init_fn, skip=skip, dtype=dtype, strict=strict)[1]


@paused()
def materialize(
    model: nn.Module,
    device: str | torch.device | None = None,
    seed: int | Key = 0,
    init_fn: InitFn | None = None,
    *,
    skip: Skip = (),
    dtype: torch.dtype | None = None,
    strict: bool = True,
) -> Plan:
    """Give every parameter and buffer on meta memory on ``device`` and its initial values.

    The values come from running the model's own init code on shadows: ``init_fn`` for every
    module, or else ``reset_parameters()`` / ``_reset_parameters()`` of every module, children
    first, and then ``init_weights()`` / ``initialize_weights()`` of the outermost modules that
    have it.  Random values depend on (seed, parameter name, draw, element index) alone: an
    initializer's values are those of ``tritoninit.init`` with ``generator=Key(seed).fold_in(
    name)``.  The global generators are neither read nor advanced, and a torch.Generator that
    init code passes is not either.  What init code takes from Python's or numpy's generator
    follows from the seed and the order of calls.

    Tensors that are not on meta keep their values.  Tied tensors stay tied, and parameters stay
    the same objects, with their attributes and hooks; where torch cannot keep an object
    (something holds a weak reference to it or a view of it) every name is bound to the new one,
    which is logged.

    Sharded models (FSDP2, tensor, expert and pipeline parallel, HSDP, any DTensor): each rank
    allocates and fills its own parts, with the bits of the unsharded model.  Init code is given
    whole tensors all the same, under the names of the plain model.  A tensor that init code
    writes across dimensions (a diagonal, ``tril_``) is for a moment held as a whole.  Every rank
    of the model's meshes must call; they exchange a digest of the plan before anything is
    allocated and a confirmation before anything is bound, so that all of them succeed or all of
    them raise and leave their models on meta.  No other message is sent, but for orthogonal
    matrices where one rank computing each and sending it is faster (``owners.py``).  Plain
    tensors may differ from rank to rank; a rank whose model has no DTensor asks nobody.

    Args:
        model: the model, on meta in whole or in part.
        device: where to allocate.  None means where the model's meshes are, a tensor under a
            CPUOffloadPolicy on the CPU; without meshes, "cuda" where there is one, else "cpu".
        seed: see :func:`plan`.
        init_fn: see :func:`plan`.
        skip: see :func:`plan`.  Ranks must skip the same tensors.
        dtype: see :func:`plan`; what is allocated is of this dtype.
        strict: see :func:`plan`.  Tensors that stay on meta for want of a recipe are named in a
            warning of the logger "tritoninit"; another call, with another ``init_fn``, can fill
            them and leaves the others alone.

    Returns:
        The plan that was carried out, of the whole tensors.

    Raises:
        tritoninit.recording.RecordError: tensors on meta have no recipe; all are named.  Nothing
            has been allocated or written then.
        tritoninit.RankError: another rank failed, or would write other values (another seed,
            shape, dtype, placement or recipe); the ranks and the tensors are named.
        RuntimeError: a rank died; the process group's own error, within its timeout.
        ValueError: device is meta, not that of a DTensor's mesh, or not the CPU under a
            CPUOffloadPolicy; a DTensor with a pending Partial; skip or dtype as in :func:`plan`.
        TypeError: an argument of another type.
    """
    _check_model(model)
    meshes = meshes_of_model(model)
    with together(meshes, "planning") as agreed:
        recording, made = record_plan(model, seed, init_fn, skip=skip, dtype=dtype, strict=strict)
        units = fsdp2.units(recording.modules)
        allocated = _allocations(units, recording.targets, device, meshes)
        agreed.append(made)
    tensors: dict[str, Tensor] = {}
    dealt: list[Matrix] = []
    if meshes and not is_fake():
        from tritoninit.ranks.owners import Delivery, deal  # a tenth of `import tritoninit`

        dealt = deal(made.fills)
    if dealt:
        with together(meshes, "computing orthogonal matrices"):
            delivery = Delivery(dealt, made.fills, allocated)
            tensors |= delivery.tensors
    total = made.nbytes
    with together(meshes, "filling"), progress(total, "materialize") as advance:
        if dealt:
            delivery.carry_out(recording.sources)
        held: list[tuple[Fill, Held]] = []
        for entry in made.fills:
            if entry.name in tensors:
                advance(entry.nbytes)
                continue
            tensor = tensors[entry.name] = allocated[entry.name]()
            held.append((entry, parts_of(tensor) if is_dtensor(tensor) else tensor))
        write_all(held, recording.sources, advance)
    replaced = [
        target.name for target in recording.targets if not bind(target, tensors[target.name])
    ]
    fsdp2.adopt_parameters(units)
    for module, attributes in recording.attributes:
        vars(module).update(attributes)
    if replaced:
        logger.warning(
            "torch could not keep the objects of %s; whatever held them, such as an optimizer made"
            " before, must be given the new ones",
            ", ".join(replaced),
        )
    unknown = [f"{left.name} ({left.origin})" for left in made.left if left.origin != SKIPPED]
    if unknown:
        logger.warning("left on meta without a recipe: %s", ", ".join(unknown))
    logger.info("materialized %s of %s", readable_bytes(total), type(model).__name__)
    return made


def _allocations(
    units: list[FSDPModule],
    targets: list[Target],
    device: str | torch.device | None,
    meshes: list[DeviceMesh],
) -> dict[str, Callable[[], Tensor]]:
    """For every tensor on meta, by name, what allocates it in its place.

    Raises:
        ValueError: device is meta, or not where a DTensor's local part has to lie.
    """
    given = None if device is None else torch.device(device)
    if given is not None and given.type == "meta":
        raise ValueError("device must be a device with memory, got meta")
    usual = "cuda" if torch.cuda.is_available() else "cpu"
    plain = given or torch.device(meshes[0].device_type if meshes else usual)
    offloaded, padded = fsdp2.offloaded(units), fsdp2.padded(units)
    places: dict[str, Callable[[], Tensor]] = {}
    for target in targets:
        if type(target.tensor) in PLAIN_TYPES:
            places[target.name] = partial(allocate, target.tensor, plain, None, target.dtype)
            continue
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
        size = padded.get(id(target.tensor))
        places[target.name] = partial(allocate, target.tensor, place, size, target.dtype)
    return places


def _check_model(model: object) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")


def record_plan(
    model: nn.Module, seed: int | Key, init_fn: InitFn | None, **options: Any
) -> tuple[Recording, Plan]:
    """The plan, and the recording that it was made from; options as of :func:`plan`."""
    # A third of the time of `import tritoninit`.
    from tritoninit.recording import Options, record_model
    from tritoninit.recording.elsewhere import seeded

    _check_model(model)
    if init_fn is not None and not callable(init_fn):
        raise TypeError(f"init_fn must be callable or None, got {type(init_fn).__name__}")
    key = seed if isinstance(seed, Key) else Key(seed)
    given = Options(**options)
    with seeded(key):
        recording = record_model(model, init_fn, given)
    return recording, recording.plan(key)
