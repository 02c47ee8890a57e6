"""The second layer: every operation dispatched while init code runs, keyed by memory.

Methods of tensors (``normal_``, ``fill_``, ``copy_``, ``w[i] = x``) reach this layer through
whatever views, slices and ``.data`` they are written, because a view shares its storage.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tritoninit.init.parity import check_normal, check_random_dtype, check_uniform
from tritoninit.plan import Apply
from tritoninit.recipe import Constant, Normal, Uniform
from tritoninit.recording.recorder import Keyed, Recorder
from tritoninit.recording.targets import Target

SCALARS = (bool, int, float, complex, str, type(None))
UNKNOWN = (
    "cannot be recorded; use torch.nn.init, normal_, uniform_, fill_, copy_ of a real tensor, or"
    " an in-place operation with numbers only"
)


def _flat(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _flat(item)


def _split(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[list[Tensor], list[Tensor]]:
    """(the tensors an operation writes, those it only reads)."""
    written: list[Tensor] = []
    read: list[Tensor] = []
    for position, argument in enumerate(func._schema.arguments):
        value = args[position] if position < len(args) else kwargs.get(argument.name)
        is_written = argument.alias_info is not None and argument.alias_info.is_write
        (written if is_written else read).extend(_flat(value))
    return written, read


def _name(func: Any) -> str:
    """torch's name of an operation, such as ``mul_.Tensor``."""
    return str(func).removeprefix("aten.")


class OperationMode(TorchDispatchMode):
    """Records writes to a model's tensors; refuses what cannot be recorded."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.recorder = recorder

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.recorder.quiet:
            return func(*args, **kwargs)
        written, read = _split(func, args, kwargs)
        if written and torch.Tag.inplace_view not in func.tags:
            for tensor in written:
                if target := self.recorder.find(tensor):
                    return self._write(func, args, kwargs, written, read, target)
        self._check_free_of_chance(func, kwargs, [*written, *read])
        self._check_not_stale(func, read)
        result = func(*args, **kwargs)
        if written and all(tensor.is_meta for tensor in written):
            self._write_temporary(func, args, kwargs, written, read)
        if func is torch.ops.aten.scalar_tensor.default and result.is_meta:
            # This is how the number in `w[i] = number` arrives.
            self.recorder.write(result, Constant(args[0]))
        return result

    def _write(
        self,
        func: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        written: list[Tensor],
        read: list[Tensor],
        target: Target,
    ) -> Any:
        writes = self._writes(func, args, kwargs, written, read, target)
        if isinstance(writes, str):
            raise self.recorder.refuse(f"{_name(func)} {writes}", target)
        (tensor,) = written
        if any(recipe.is_random for recipe, _ in writes):
            check_random_dtype(tensor, writes[0][0])
        if target.shadow is not None:
            func(*args, **kwargs)  # torch's own checks, on meta
        for recipe, key in writes:
            self.recorder.write(tensor, recipe, key)
        return tensor

    def _write_temporary(
        self,
        func: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        written: list[Tensor],
        read: list[Tensor],
    ) -> None:
        writes = self._writes(func, args, kwargs, written, read, None)
        if isinstance(writes, str):
            for tensor in written:
                self.recorder.temporary(tensor).unknown = True
            return
        for recipe, key in writes:
            self.recorder.write(written[0], recipe, key)

    def _writes(
        self,
        func: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        written: list[Tensor],
        read: list[Tensor],
        target: Target | None,
    ) -> list[Keyed] | str:
        """What an operation writes, or why that cannot be told."""
        name, _, overload = _name(func).partition(".")
        tensor = written[0]
        if len(written) > 1 or not args or args[0] is not tensor:
            return UNKNOWN
        if name == "zero_":
            return [(Constant(0), None)]
        if name == "fill_" and overload == "Scalar":
            return [(Constant(args[1]), None)]
        if name == "normal_":
            mean, std = self._pair(args, kwargs, ("mean", "std"), (0.0, 1.0))
            check_normal(tensor, mean, std)
            return [(Normal(mean, std), None)]
        if name == "uniform_":
            low, high = self._pair(args, kwargs, ("from", "to"), (0.0, 1.0))
            check_uniform(tensor, low, high)
            return [(Uniform(low, high), None)]
        if name == "copy_" or (name == "fill_" and overload == "Tensor"):
            return self._copied(func, tensor, args[1], target)
        if (
            not name.endswith("_")
            or read
            or torch.Tag.nondeterministic_seeded in func.tags
            or not all(isinstance(value, SCALARS) for value in (*args[1:], *kwargs.values()))
        ):
            return UNKNOWN
        return [(Apply(_name(func), tuple(args[1:]), tuple(kwargs.items())), None)]

    @staticmethod
    def _pair(
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        names: tuple[str, str],
        defaults: tuple[float, float],
    ) -> tuple[float, float]:
        values = list(args[1:3])
        for name, default in list(zip(names, defaults, strict=True))[len(values) :]:
            values.append(kwargs.get(name, default))
        return float(values[0]), float(values[1])

    def _copied(
        self, func: Any, tensor: Tensor, source: Tensor, target: Target | None
    ) -> list[Keyed] | str:
        if not source.is_meta:
            self._check_not_stale(func, [source])
            return [(self.recorder.copy(source), None)]
        if target is None:
            return UNKNOWN
        origin = self.recorder.find(source)
        if origin is target and self.recorder.view_of(source) == self.recorder.view_of(tensor):
            return []
        reason: list[Keyed] | str = f"{origin.name}" if origin else ""
        if origin is None:
            reason = self.recorder.taken_from(source, tensor, target)
        if isinstance(reason, list):
            return reason
        return (
            f"from a tensor on meta, {reason}; draw into the tensor itself, or compute its values"
            ' on a real device (device="cpu")'
        )

    def _check_free_of_chance(
        self, func: Any, kwargs: dict[str, Any], tensors: list[Tensor]
    ) -> None:
        """Random numbers outside the stream would depend on the order of calls."""
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return
        device = kwargs.get("device") or (tensors[0].device if tensors else "cpu")
        nothing = bool(tensors) and all(tensor.numel() == 0 for tensor in tensors)
        if torch.device(device).type != "meta" and not nothing:
            raise self.recorder.refuse(
                f"{_name(func)} draws random numbers for a tensor that is not part of the model,"
                " so that the values would depend on the order of calls; draw into the parameter"
                " itself, or into a temporary with tritoninit.init and a Key"
            )

    def _check_not_stale(self, func: Any, read: list[Tensor]) -> None:
        """Values that init code would have changed must not flow into others."""
        if any(result.alias_info for result in func._schema.returns):
            return
        for tensor in read:
            target = self.recorder.find(tensor)
            if target and target.stale and _name(func) != "_debug_has_internal_overlap.default":
                raise self.recorder.refuse(
                    f"{_name(func)} reads {target}, which is not on meta and keeps its values,"
                    " after init code wrote to it"
                )
