"""What each tensor of a model should hold, learnt by running its init code on shadows.

Shadows are meta tensors of full shape in the place of the model's own; two layers see every
write to them (``calls.py``, ``operations.py``).  No memory is touched: afterwards the model is
what it was, and each tensor on meta has the writes that decide its values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from tritoninit.dtensor import is_dtensor, sharding_of
from tritoninit.plan import Apply, Fill, View, Write
from tritoninit.recording.calls import intercepted
from tritoninit.recording.coverage import Span, needed
from tritoninit.recording.initialise import InitFn, initialise
from tritoninit.recording.operations import OperationMode
from tritoninit.recording.recorder import Recorder
from tritoninit.recording.shadows import Shadows
from tritoninit.recording.targets import (
    RecordError,
    Target,
    Written,
    dtype_name,
    find_targets,
)
from tritoninit.stream import Key, parameter_key

__all__ = ["InitFn", "RecordError", "Recording", "Target", "record_model"]


@dataclass(frozen=True)
class Recording:
    """The targets on meta with their writes, the values to copy, and attributes that were set.

    ``sources`` holds the tensors of :class:`tritoninit.plan.Copy` by digest.
    """

    targets: list[Target]
    sources: dict[str, Tensor]
    attributes: list[tuple[nn.Module, dict[str, Any]]]

    def fills(self, key: Key) -> tuple[Fill, ...]:
        """The plan's entries under a root key."""
        return tuple(_fill(target, key) for target in self.targets)


def record_model(model: nn.Module, init_fn: InitFn | None = None) -> Recording:
    """Run the model's init code on shadows.

    Raises:
        RecordError: a tensor on meta is not fully written, or written in a way that cannot be
            replayed.
    """
    targets = find_targets(model)
    shadows = Shadows(model, targets)
    with shadows.in_place():
        recorder = Recorder(targets)
        with intercepted(recorder), OperationMode(recorder):
            initialise(model, recorder, targets, init_fn)
        for state in shadows.states:
            state.check_structure()
        for target, tensor in shadows.assigned():
            _assign(recorder, target, tensor)
        attributes = shadows.changed_attributes()
    planned = [target for target in targets if target.shadow is not None]
    _check_shadows(recorder, planned)
    _keep_needed(planned, init_fn is not None)
    return Recording(planned, recorder.sources, attributes)


def _assign(recorder: Recorder, target: Target, tensor: Tensor) -> None:
    """A new tensor in the place of the shadow: its values are copied."""
    with recorder.at("init code"):
        geometry = (tuple(tensor.shape), tensor.dtype)
        if tensor.is_meta or geometry != (tuple(target.tensor.shape), target.tensor.dtype):
            raise recorder.refuse(
                f"assigned a tensor on {tensor.device} of shape {list(tensor.shape)} and dtype"
                f" {dtype_name(tensor)}; only a real tensor of the same shape and dtype can be"
                " assigned",
                target,
            )
        source = recorder.find(tensor)
        if source is not None and source.stale:
            raise recorder.refuse(f"assigned {source}, which keeps its own values", target)
    recipe = recorder.copy(tensor)
    target.writes.append(Written(recipe, target.whole, None, f"assignment to {target.name}"))


def _check_shadows(recorder: Recorder, targets: list[Target]) -> None:
    for target in targets:
        shadow = target.shadow
        assert shadow is not None
        geometry = tuple(shadow.shape), tuple(shadow.stride()), int(shadow.storage_offset())
        if View(*geometry) != target.whole or recorder.find(shadow) is not target:
            raise RecordError(
                f"init code changed the shape, strides or memory of {target}; write into the"
                " tensor as it is (copy_, not an assignment to .data or resize_)"
            )


def _keep_needed(targets: list[Target], has_init_fn: bool) -> None:
    """Keep the writes that decide the values; raise where an element has none."""
    missing = []
    for target in targets:
        spans = [Span(w.view, not isinstance(w.recipe, Apply)) for w in target.writes]
        indices, left = needed(target.whole, spans)
        target.writes = [target.writes[index] for index in indices]
        if left == target.tensor.numel() and left:
            missing.append(f"  {target}: nothing fills it")
        elif left:
            missing.append(f"  {target}: {left:,} elements are filled by nothing")
    if missing:
        advice = (
            "Have init_fn fill them (it runs in the place of reset_parameters and init_weights)."
            if has_init_fn
            else "Give the module a reset_parameters() that fills them, or pass init_fn."
        )
        count = "1 tensor has" if len(missing) == 1 else f"{len(missing)} tensors have"
        raise RecordError("\n".join([f"{count} no recipe:", *missing, advice]))


def _fill(target: Target, key: Key) -> Fill:
    whole = target.whole
    writes = []
    draws = 0
    for written in target.writes:
        view = None if written.view == whole else written.view
        if written.recipe.is_random:
            place = written.key or parameter_key(key, target.name, draws)
            writes.append(Write(written.recipe, view, draws, place))
            draws += 1
        else:
            writes.append(Write(written.recipe, view))
    return Fill(
        name=target.name,
        aliases=target.names[1:],
        kind=target.kind,
        shape=whole.shape,
        strides=whole.strides,
        dtype=dtype_name(target.tensor),
        itemsize=target.tensor.element_size(),
        writes=tuple(writes),
        origin=", ".join(dict.fromkeys(written.origin for written in target.writes)),
        sharding=sharding_of(target.tensor) if is_dtensor(target.tensor) else None,
    )
