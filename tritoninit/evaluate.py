"""Running the program of a computed tensor, on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from tritoninit.layout import DTYPES
from tritoninit.plan import Call, Compute, Operand, Step, Symbol, Write

Writer = Callable[[Tensor, Write], None]


def operation(name: str) -> Any:
    """The operation of torch with this name and overload, such as ``mul_.Tensor``."""
    return reduce(getattr, name.split("."), torch.ops.aten)


def evaluate(program: Compute, write: Writer) -> Tensor:
    """The program's result; ``write`` carries out writes to a tensor."""
    return Machine(program, write).run()


class Machine:
    """The buffers of a program while it runs; each lives from its first use to its last."""

    def __init__(self, program: Compute, write: Writer) -> None:
        self.program = program
        self.write = write
        self.buffers: dict[int, Tensor] = {}
        self.last: dict[int, int] = {}
        for index, step in enumerate(program.steps):
            for buffer in _used(step):
                self.last[buffer] = index
        self.last[program.result.buffer] = len(program.steps)

    def run(self) -> Tensor:
        """Every step in order, whatever autocast there is around it."""
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            return self._run()

    def _run(self) -> Tensor:
        for index, step in enumerate(self.program.steps):
            if isinstance(step, Step):
                self.write(self.tensor(step.place), step.write)
            elif step.key is None:
                self._call(step)
            else:
                with torch.random.fork_rng(devices=()):
                    torch.default_generator.manual_seed(step.key.word64(0))
                    self._call(step)
            for buffer in _used(step):
                if self.last[buffer] == index:
                    self.buffers.pop(buffer, None)
        return self.tensor(self.program.result)

    def tensor(self, operand: Operand) -> Tensor:
        """The operand, on its buffer's memory."""
        buffer = self.buffers.get(operand.buffer)
        if buffer is None:
            dtype, numel = self.program.buffers[operand.buffer]
            buffer = torch.empty(numel, dtype=getattr(torch, dtype), device="cpu")
            self.buffers[operand.buffer] = buffer
        view = operand.view
        read_as = buffer.view(getattr(torch, operand.dtype))
        return read_as.as_strided(view.shape, view.strides, view.offset)

    def _call(self, call: Call) -> None:
        function = operation(call.op)
        kwargs = {name: self._argument(value) for name, value in call.kwargs}
        given = {argument.name for argument in function._schema.arguments}
        if "device" in given:
            kwargs["device"] = torch.device("cpu")
        with _default_dtype(call):
            found = function(*(self._argument(value) for value in call.args), **kwargs)
        for tensor, place in zip(flat(found), call.results, strict=True):
            if place is not None:
                self.tensor(place).copy_(tensor)

    def _argument(self, value: Any) -> Any:
        if isinstance(value, Operand):
            return self.tensor(value)
        if isinstance(value, Symbol):
            return getattr(torch, value.name)
        if isinstance(value, tuple):
            return [self._argument(item) for item in value]
        return value


@contextmanager
def _default_dtype(call: Call) -> Iterator[None]:
    """Have the default dtype be the one that the call was seen under.

    Where the arguments leave the dtype of the results open (``arange(8) / 8``), that is it.
    """
    made = (getattr(torch, place.dtype) for place in call.results if place is not None)
    seen = next(
        (dtype.to_real() for dtype in made if dtype.is_floating_point or dtype.is_complex), None
    )
    before = torch.get_default_dtype()
    if seen in (None, before) or seen not in DTYPES:
        yield
        return
    torch.set_default_dtype(seen)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def flat(value: Any) -> Iterator[Tensor]:
    """The tensors in an argument or a result; in place on lists (``_foreach_mul_``) it has none."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from flat(item)


def _used(step: Call | Step) -> set[int]:
    found: set[int] = set()

    def visit(value: Any) -> None:
        if isinstance(value, Operand):
            found.add(value.buffer)
        elif isinstance(value, tuple):
            for item in value:
                visit(item)

    visit(step.place if isinstance(step, Step) else (step.args, step.kwargs, step.results))
    return found
