"""The program that computes a value, from the operations that were seen to make it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tritoninit.plan import Argument, Call, Compute, Operand, Step, Symbol, Write
from tritoninit.recording.targets import short
from tritoninit.recording.trace import Event, Memory, Operation, Ref, history
from tritoninit.stream import Key

MAX_BYTES = 1 << 30  # of one intermediate tensor: it is held whole, on every rank

Draw = tuple[int, Key]
Keying = Callable[[Event | Operation], Draw]

SCALARS = (bool, int, float, complex, str, type(None))
NAMED = (torch.dtype, torch.memory_format, torch.layout)
DROPPED = frozenset({"device", "pin_memory", "generator", "layout"})


class ProgramError(ValueError):
    """A value that cannot be computed apart from the model."""


def compiled(value: Ref, key_of: Keying) -> Compute:
    """The program of a value.

    Raises:
        ProgramError: an operation has an argument that cannot be stored, or one of the tensors
            takes more than 1 GiB.
    """
    return _Compiler(key_of).compute(value)


class _Compiler:
    def __init__(self, key_of: Keying) -> None:
        self.key_of = key_of
        self.numbers: dict[int, int] = {}
        self.buffers: list[tuple[str, int]] = []

    def compute(self, value: Ref) -> Compute:
        steps: list[Call | Step] = []
        done: set[int] = set()
        for memory, event in history(value):
            operation = event.recipe
            if not isinstance(operation, Operation):
                place = self.operand(memory, memory.dtype, event.view)
                draw, key = self.key_of(event) if operation.is_random else (None, None)
                steps.append(Step(place, Write(operation, None, draw, event.key or key)))
            elif id(operation) not in done:
                done.add(id(operation))
                steps.append(self.call(operation))
        result = self.operand(value.memory, value.dtype, value.view)
        return Compute(tuple(self.buffers), tuple(steps), result)

    def operand(self, memory: Memory, dtype: torch.dtype, view: Any) -> Operand:
        if id(memory) not in self.numbers:
            if memory.numel * memory.dtype.itemsize > MAX_BYTES:
                raise ProgramError(
                    f"a tensor of {memory.numel:,} elements of {memory.dtype} is computed as a"
                    f" whole, which is done up to {MAX_BYTES >> 30} GiB"
                )
            self.numbers[id(memory)] = len(self.buffers)
            self.buffers.append((short(memory.dtype), memory.numel))
        return Operand(self.numbers[id(memory)], short(dtype), view)

    def call(self, operation: Operation) -> Call:
        kwargs = tuple(
            (name, self.argument(value, operation))
            for name, value in operation.kwargs.items()
            if name not in DROPPED
        )
        args = tuple(self.argument(value, operation) for value in operation.args)
        results = tuple(
            None if ref is None else self.operand(ref.memory, ref.dtype, ref.view)
            for ref in operation.results
        )
        key = self.key_of(operation)[1] if operation.is_random else None
        name = str(operation.func).removeprefix("aten.")
        return Call(name, args, kwargs, results, key)

    def argument(self, value: Any, operation: Operation) -> Argument:
        if isinstance(value, Ref):
            return self.operand(value.memory, value.dtype, value.view)
        if isinstance(value, tuple | list):
            return tuple(self.argument(item, operation) for item in value)
        if isinstance(value, NAMED):
            return Symbol(short(value))
        if isinstance(value, SCALARS):
            return value
        raise ProgramError(
            f"{operation.func} was given a {type(value).__name__}, which cannot be stored"
        )
