"""The third layer: values that enter torch from Python, and leave it.

``torch.tensor([1.0, 2.0])`` on meta forgets its numbers, and ``.item()``, ``.tolist()`` or
``.cpu()`` of a tensor on meta is an error; neither dispatches an operation that the second layer
could see.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch._C import _len_torch_function_stack
from torch.overrides import TorchFunctionMode

from tritoninit.recording.program import ProgramError, compiled
from tritoninit.recording.recorder import Recorder
from tritoninit.recording.trace import Event, Ref, is_random, unwritten, view_of
from tritoninit.writing import values_of

LITERALS = frozenset({torch.tensor, torch.as_tensor, torch.asarray, Tensor.new_tensor})
READS = frozenset(
    {Tensor.item, Tensor.tolist, Tensor.numpy, Tensor.cpu, Tensor.__array__, Tensor.__bool__}
    | {Tensor.__float__, Tensor.__int__, Tensor.__index__, Tensor.__contains__}
    | {Tensor.equal, torch.equal, torch.allclose, Tensor.allclose}
)


class LiteralMode(TorchFunctionMode):
    """Keeps the numbers of literals on meta; gives out those that follow from them."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __enter__(self) -> LiteralMode:
        super().__enter__()  # type: ignore[no-untyped-call]
        self.recorder.modes = _len_torch_function_stack()
        return self

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.recorder.quiet:
            return func(*args, **kwargs)
        if func in LITERALS:
            return self._literal(func, args, kwargs)
        if func in READS or (func is Tensor.to and _leaves_meta(args, kwargs)):
            args = tuple(self._real(value) for value in args)
        elif getattr(func, "__self__", None) is Tensor.data and len(args) == 2:
            args = args[0], self._assignable(*args)
        return func(*args, **kwargs)

    def _literal(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        data = args[1:] if func is Tensor.new_tensor else args
        made = func(*args, **kwargs)
        if not made.is_meta or any(isinstance(value, Tensor) for value in data):
            return made
        recorder = self.recorder
        with recorder.ignoring():
            given = data[0] if data else kwargs.get("data", kwargs.get("obj"))
            real = torch.tensor(given, dtype=made.dtype, device="cpu")
            recipe = recorder.copy(real)
        memory = recorder.follow(made)
        memory.events.append(Event(recorder.now(), recipe, view_of(made), None, recorder.origin))
        return made

    def _assignable(self, tensor: Tensor, data: Any) -> Any:
        """What can be assigned to ``tensor.data``: torch takes no real tensor for one on meta."""
        if not tensor.is_meta or not isinstance(data, Tensor) or data.is_meta:
            return data
        with self.recorder.ignoring():
            taken = torch.empty_like(data, device="meta")
        return taken.copy_(data)

    def _real(self, value: Any) -> Any:
        """The values of a tensor on meta, where they follow from what was seen."""
        if not (isinstance(value, Tensor) and value.is_meta and self.recorder.is_followed(value)):
            return value
        ref = self.recorder.ref(value)
        if unwritten(ref):
            return value  # torch's own error follows
        if is_random(ref):
            raise self.recorder.refuse(
                "random values on meta were read as numbers; they have none until the model is"
                " materialized"
            )
        return evaluated(self.recorder, ref)


def evaluated(recorder: Recorder, ref: Ref) -> Tensor:
    """The values of something that depends on no draw."""

    def no_key(_: object) -> Any:
        raise AssertionError("a draw in a deterministic value")

    with recorder.ignoring():
        try:
            program = compiled(ref, no_key)
        except ProgramError as error:
            raise recorder.refuse(f"values on meta were read as numbers: {error}") from None
        return values_of(program, recorder.sources).clone()


def _leaves_meta(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    for value in (*args[1:], *kwargs.values()):
        if isinstance(value, Tensor):
            return not value.is_meta
        if isinstance(value, torch.device):
            return value.type != "meta"
        if isinstance(value, str):
            return torch.device(value).type != "meta"
    return False
