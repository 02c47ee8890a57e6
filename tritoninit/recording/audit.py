"""Which tensors have a recipe for every element, and what is said of the others."""

from __future__ import annotations

from tritoninit.plan import SKIPPED
from tritoninit.recipe import Recipe
from tritoninit.recording.disguise import unmasked
from tritoninit.recording.program import ProgramError, compiled
from tritoninit.recording.recorder import Recorder
from tritoninit.recording.repeat import memory_for, repeat
from tritoninit.recording.resolve import resolve
from tritoninit.recording.targets import Target, Written
from tritoninit.recording.trace import Event, Operation, Ref, unwritten
from tritoninit.stream import Key


def decide(recorder: Recorder, target: Target, ref: Ref, assigned: bool, began: int) -> str | None:
    """Give a target the writes of its value.

    Returns:
        Why it gets none, if so.
    """
    simple = ref.view is target.whole and not (assigned or target.is_special)
    event = ref.last_write() if simple else None
    if event is not None and isinstance(event.recipe, Recipe) and ref.dtype is target.dtype:
        target.writes = (Written(event.recipe, ref.view, event, event.origin),)
        return None  # nearly every tensor
    events, missing = ref.events()
    reason = _fault(target, ref, events, missing, began)
    if reason is None and ref.dtype != target.dtype:
        ref = _rounded(recorder, target, ref)
        events, _ = ref.events()
    target.writes = unmasked(resolve(ref)) if events else ()
    if assigned:
        origin = f"assignment to {target.name}"
        target.writes = [write._replace(origin=origin) for write in target.writes]
    return SKIPPED if target.skipped else reason or _program_fault(target)


def _fault(target: Target, ref: Ref, events: list[Event], left: int, began: int) -> str | None:
    """Why the elements do not all have a recipe, if so."""
    if target.own is not None and any(event.time > began for event in target.own.events):
        return (
            "init code writes to the model's own tensor, which it has held from before, and not"
            " to what stands in its place; reach it through its module"
        )
    if left == target.tensor.numel() and left:
        return "nothing fills it"
    if left:
        return f"{left:,} elements are filled by nothing"
    if any(isinstance(event.recipe, Operation) for event in events) and unwritten(ref):
        return "it is computed from elements that nothing fills"
    if target.outdated and any(event.time < began for event in events):
        return (
            "it was written after record() ended, where it is not seen; write it inside, or in"
            " init_fn"
        )
    return None


def _program_fault(target: Target) -> str | None:
    """Why values cannot be computed, if so; the keys are of no account."""
    for written in target.writes:
        if written.value is not None:
            try:
                compiled(written.value, lambda _: (0, Key(0)))
            except ProgramError as error:
                return f"it cannot be computed: {error}"
    return None


def _rounded(recorder: Recorder, target: Target, ref: Ref) -> Ref:
    """The value in the dtype that was asked for."""
    memory = memory_for(recorder, target, target.dtype)
    repeat(recorder, ref, memory)
    return Ref(memory, recorder.now(), target.whole, target.dtype)


def complaint(reasons: list[str], has_init_fn: bool) -> str:
    """The error that names the tensors without a recipe."""
    advice = (
        "Have init_fn fill them (it runs in the place of reset_parameters and init_weights)."
        if has_init_fn
        else "Build the model under tritoninit.record(), give the module a reset_parameters()"
        " that fills them, or pass init_fn."
    )
    count = "1 tensor has" if len(reasons) == 1 else f"{len(reasons)} tensors have"
    return "\n".join([f"{count} no recipe:", *(f"  {reason}" for reason in reasons), advice])
