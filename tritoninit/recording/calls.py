"""The first layer: calls of torch.nn.init and tritoninit.init while init code runs.

Some of them return early on meta (``trunc_normal_``, ``orthogonal_``, ``sparse_``, ``dirac_``,
all of tritoninit.init), so that no operation is dispatched and the second layer sees nothing.
Every reference to them sees the exchange (``init/exchange.py``).
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._C import _len_torch_function_stack

from tritoninit import init
from tritoninit.init.call import binder
from tritoninit.init.exchange import Function, Replace, exchanged
from tritoninit.layout import PLAIN_TYPES
from tritoninit.patching import torchs_initializers
from tritoninit.recipe import (
    Constant,
    Dirac,
    Eye,
    Normal,
    Orthogonal,
    Recipe,
    Sparse,
    TruncNormal,
    Uniform,
)
from tritoninit.recording.known import description, is_silent
from tritoninit.recording.recorder import Recorder, is_recorded
from tritoninit.recording.targets import untyped_storage
from tritoninit.recording.trace import view_of
from tritoninit.stream import Key

Arguments = dict[str, Any]

# The initializers that all others end in, and their recipes.
ELEMENTARY: dict[str, Callable[[Arguments], Recipe]] = {
    "uniform_": lambda p: Uniform(float(p["a"]), float(p["b"])),
    "normal_": lambda p: Normal(float(p["mean"]), float(p["std"])),
    "trunc_normal_": lambda p: TruncNormal(*(float(p[n]) for n in ("mean", "std", "a", "b"))),
    "constant_": lambda p: Constant(p["val"]),
    "ones_": lambda _: Constant(1.0),
    "zeros_": lambda _: Constant(0.0),
    "eye_": lambda _: Eye(),
    "dirac_": lambda p: Dirac(int(p["groups"])),
    "orthogonal_": lambda p: Orthogonal(float(p["gain"])),
    "sparse_": lambda p: Sparse(float(p["sparsity"]), float(p["std"])),
}
# Those of torch.nn.init that return early on meta.
SILENT = ("trunc_normal_", "orthogonal_", "sparse_", "dirac_")

_lock = threading.RLock()
_noted: list[AbstractContextManager[None]] = []  # what ``note_silent_writes`` entered, for good


@contextmanager
def intercepted(recorder: Recorder) -> Iterator[None]:
    """Send calls on the recorder's tensors to it; other tensors are filled as ever.

    One thread at a time; the others wait.
    """
    with _lock, exchanged(_replacements(recorder)):
        yield


def _replacements(recorder: Recorder) -> Iterator[tuple[Any, Replace]]:
    for function, name in torchs_initializers():
        yield function, _ours(recorder, name)
    for name in ELEMENTARY:
        yield inspect.unwrap(getattr(init, name)), _recording(recorder, name)


def _tensor_of(args: tuple[Any, ...], kwargs: Arguments) -> Any:
    return args[0] if args else kwargs.get("tensor")


def _is_recorded(recorder: Recorder, tensor: Any) -> bool:
    """The model's tensors, on meta or not, and others that are followed."""
    return recorder.is_followed(tensor) or recorder.find(tensor) is not None


def _keeps_values(recorder: Recorder, tensor: Any) -> bool:
    """Whether it is a model's own, not on meta, and of a class or layout that ours refuse."""
    if type(tensor) in PLAIN_TYPES and tensor.layout is torch.strided:
        return False  # nearly every tensor
    target = recorder.find(tensor)
    if target is None or target.shadow is not None or untyped_storage(tensor) is not None:
        return False
    target.stale = True
    return True


def _ours(recorder: Recorder, name: str) -> Replace:
    """torch's initializer becomes tritoninit's."""
    ours = getattr(init, name)

    def replace(original: Function) -> Function:
        def call(*args: Any, **kwargs: Any) -> Any:
            tensor = _tensor_of(args, kwargs)
            if type(tensor) in PLAIN_TYPES and _len_torch_function_stack() == recorder.modes:
                with torch._C.DisableTorchFunction():  # the recorder's own mode has no use for it
                    return _known(recorder, name, run, tensor, args, kwargs)
            return run(*args, **kwargs)

        def run(*args: Any, **kwargs: Any) -> Any:
            tensor = _tensor_of(args, kwargs)
            if _keeps_values(recorder, tensor):
                return tensor
            recorded = _is_recorded(recorder, tensor)
            return (ours if recorded else original)(*args, **kwargs)

        return call

    return replace


def _known(
    recorder: Recorder,
    name: str,
    run: Function,
    tensor: Tensor,
    args: tuple[Any, ...],
    kwargs: Arguments,
) -> Any:
    """Make a call, but for one that is known: its recipe is written at once."""
    memory = recorder.memory(tensor)
    if recorder.quiet or memory is None or not is_recorded(memory):
        return run(*args, **kwargs)
    if not args:
        args, kwargs = (tensor, *args), {k: v for k, v in kwargs.items() if k != "tensor"}
    call = description(name, tensor, args, kwargs)
    if call is None or tensor.dtype != memory.dtype:
        return run(*args, **kwargs)
    asked = recorder.known.get(call)
    if asked is not None:
        recorder.write_again(memory, asked)
        return tensor
    before = len(memory.events)
    found = run(*args, **kwargs)
    if is_silent(tensor):
        recorder.known.learn(call, memory, before, view_of(tensor))
    return found


def _recording(recorder: Recorder, name: str) -> Replace:
    """tritoninit's elementary initializer becomes a record of its recipe."""

    def replace(original: Function) -> Function:
        bound = binder(original)

        def call(*args: Any, **kwargs: Any) -> Any:
            tensor = _tensor_of(args, kwargs)
            if recorder.quiet or not _is_recorded(recorder, tensor):
                return original(*args, **kwargs)
            return _known(recorder, f"tritoninit.{name}", run, tensor, args, kwargs)

        def run(*args: Any, **kwargs: Any) -> Any:
            tensor, given = _tensor_of(args, kwargs), bound(args, kwargs)
            if given["global_shape"] is not None or given["global_offset"] is not None:
                raise recorder.refuse(
                    f"{name} with global_shape={given['global_shape']} and global_offset="
                    f"{given['global_offset']}; init code is given whole tensors",
                    recorder.find(tensor),
                )
            # The arguments are checked by the initializer itself, on a tensor without memory.
            with recorder.ignoring():
                meta = tensor if tensor.is_meta else torch.empty_like(tensor, device="meta")
                original(**{**given, "tensor": meta})
            recorder.write(tensor, ELEMENTARY[name](given), _key_of(given.get("generator")))
            if not tensor.is_meta and recorder.find(tensor) is None:
                with recorder.ignoring():  # memory that code may read when the record has ended
                    original(**given)
            return tensor

        return call

    return replace


def note_silent_writes() -> None:
    """From now on the initializers that do nothing on meta move the version counter there.

    Every other write does, so that one to a recorded tensor after its record is not lost unseen.
    """
    with _lock:
        if not _noted:
            silent = (f for f, name in torchs_initializers() if name in SILENT)
            noted = exchanged((function, _counting) for function in silent)
            noted.__enter__()
            _noted.append(noted)


def _counting(original: Function) -> Function:
    def call(*args: Any, **kwargs: Any) -> Any:
        found = original(*args, **kwargs)
        tensor = _tensor_of(args, kwargs)
        if isinstance(tensor, torch.Tensor) and tensor.is_meta and not tensor.is_inference():
            torch.autograd.graph.increment_version(tensor)
        return found

    return call


def _key_of(generator: object) -> Key | None:
    """A key that init code gives stands; a torch.Generator gives way to the parameter's key."""
    if generator is None or isinstance(generator, torch.Generator):
        return None
    if isinstance(generator, Key):
        return generator
    raise TypeError(
        "generator must be a torch.Generator, a tritoninit.Key or None, got"
        f" {type(generator).__name__}"
    )
