"""From a model on meta to a model with values: plan, allocate, fill, bind."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tritoninit.fill import fill
from tritoninit.plan import Apply, Copy, Fill, Plan, readable_bytes
from tritoninit.recipe import Constant
from tritoninit.stream import Key

if TYPE_CHECKING:
    from tritoninit.record import InitFn, Recording, Target

logger = logging.getLogger("tritoninit")

BAR_FROM = 1 << 27  # bytes from which a progress bar is worth a line: 0.125 GiB


def plan(model: nn.Module, seed: int | Key = 0, init_fn: InitFn | None = None) -> Plan:
    """What :func:`materialize` would write, without touching memory or the model.

    Args:
        model: the model; its tensors on meta are planned, others are left out.
        seed: an int in [-2**63, 2**64 - 1], or a Key.  The key of parameter ``name`` is
            ``Key(seed).fold_in(name)``, then ``.fold_in(1)``, ... for its later draws.
        init_fn: called with every module, children first, in the place of the modules' own
            init code.

    Raises:
        tritoninit.record.RecordError: a tensor on meta has no recipe.
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
        tritoninit.record.RecordError: a tensor on meta has no recipe.  Nothing has been
            allocated or written then.
        ValueError: device is meta.
        TypeError: model is not a module, or seed neither an int nor a Key.
    """
    place = _device(device)
    recording, made = _planned(model, seed, init_fn)
    tensors = []
    with _progress(made.nbytes) as advance:
        for entry in made.fills:
            tensors.append(_materialized(entry, recording, place))
            advance(entry.nbytes)
    replaced = [
        target.name
        for target, tensor in zip(recording.targets, tensors, strict=True)
        if not _bind(target, tensor)
    ]
    for module, attributes in recording.attributes:
        vars(module).update(attributes)
    if replaced:
        logger.warning(
            "torch could not keep the objects of %s; whatever held them, such as an optimizer made"
            " before, must be given the new ones",
            ", ".join(replaced),
        )
    logger.info("materialized %s on %s", readable_bytes(made.nbytes), place)
    return made


def _device(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    place = torch.device(device)
    if place.type == "meta":
        raise ValueError("device must be a device with memory, got meta")
    return place


def _planned(model: nn.Module, seed: int | Key, init_fn: InitFn | None) -> tuple[Recording, Plan]:
    from tritoninit.record import record_model  # a third of the time of `import tritoninit`

    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if init_fn is not None and not callable(init_fn):
        raise TypeError(f"init_fn must be callable or None, got {type(init_fn).__name__}")
    key = seed if isinstance(seed, Key) else Key(seed)
    recording = record_model(model, init_fn)
    return recording, Plan(key, recording.fills(key))


def _materialized(entry: Fill, recording: Recording, device: torch.device) -> Tensor:
    dtype = getattr(torch, entry.dtype)
    tensor = torch.empty_strided(entry.shape, entry.strides, dtype=dtype, device=device)
    for write in entry.writes:
        view = write.view
        part = tensor if view is None else tensor.as_strided(view.shape, view.strides, view.offset)
        recipe = write.recipe
        if isinstance(recipe, Copy):
            part.copy_(recording.sources[recipe.digest])
        elif isinstance(recipe, Constant):
            part.fill_(recipe.value)
        elif isinstance(recipe, Apply):
            operation: Any = reduce(getattr, recipe.op.split("."), torch.ops.aten)
            operation(part, *recipe.args, **dict(recipe.kwargs))
        else:
            fill(part, recipe, write.key)
    return tensor


def _bind(target: Target, data: Tensor) -> bool:
    """Give the target's tensor its memory; False where a new object had to take its place."""
    from tritoninit.record.targets import adopt

    original, shadow = target.tensor, target.shadow
    assert shadow is not None
    new: Tensor
    if isinstance(original, nn.Parameter):
        new = nn.Parameter(data, requires_grad=shadow.requires_grad)
    else:
        new = data.requires_grad_(shadow.requires_grad)
    hooks = {name: getattr(original, name) for name in HOOKS}
    try:
        torch.utils.swap_tensors(original, new)
        kept = original
    except RuntimeError as reason:
        logger.debug("%s is a new object: %s", target.name, reason)
        kept = new
    adopt(kept, shadow)
    for name, registered in hooks.items():
        if registered:
            setattr(kept, name, registered)  # hooks belong to the memory: arm them again
    if kept is original:
        return True
    for module, key in target.slots:
        setattr(module, key, kept)
    return False


HOOKS = ("_backward_hooks", "_post_accumulate_grad_hooks")


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], object]]:
    """A bar on a terminal, if tqdm is installed and the work is worth one."""
    if total < BAR_FROM or not sys.stderr.isatty() or not importlib.util.find_spec("tqdm"):
        yield lambda _: None
        return
    from tqdm import tqdm

    with tqdm(total=total, unit="B", unit_scale=True, desc="materialize") as bar:
        yield bar.update
