"""Launching a kernel that is compiled already, without asking Triton which one it is.

``kernel[grid](...)`` describes every argument to find the compiled kernel, at each launch: 11 of
the 12 us that one takes on the host beside the driver's share (Triton 3.7.1, 3 GHz).  Of these
kernels no integer selects a variant, so a few values decide, and the others are passed on.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from triton import JITFunction, knobs
from triton.compiler import CompiledKernel
from triton.runtime import driver

OPTIONS = ("num_warps", "enable_fp_fusion", "maxnreg")
ALIGNMENT = 16  # bytes, by which Triton specialises pointers


class Parameters(NamedTuple):
    """A kernel's parameters, and what of a value decides which variant is launched."""

    names: tuple[str, ...]
    constants: tuple[str, ...]  # the whole value
    typed: dict[str, bool]  # the type (of a pointer, of a tuple of numbers); True: its alignment


# (programs, stream, values: one a parameter, see ``arranged``) -> None, on the current device
Start = Callable[[int, int, list[Any]], None]
_parameters: dict[int, Parameters | None] = {}
_compiled: dict[tuple[Any, ...], Start] = {}


def launch(kernel: Any, programs: int, arguments: dict[str, Any]) -> None:
    """``kernel[(programs,)](**arguments)`` on the current device and its current stream."""
    start = None if hooked(kernel) else compile_for(kernel, arguments)
    if start is None:
        kernel[(programs,)](**arguments)
    else:
        active = driver.active
        stream = active.get_current_stream(active.get_current_device())
        start(programs, stream, arranged(kernel, arguments))


def starter(compiled: CompiledKernel, count: int) -> Start:
    """How to launch a kernel of ``count`` parameters, compiled for the current device.

    Triton's launcher takes 0.4 us to find that the kernel needs no scratch memory and to hand the
    arguments on to a C function, with what it knows of the kernel.  It is asked what it would
    hand on, twice: where nothing varies but the arguments, that function is called without it.
    """
    launcher = compiled.run  # loads the kernel
    known = (compiled.function, compiled.packed_metadata, None, None, None)

    def by_launcher(programs: int, stream: int, values: list[Any]) -> None:
        launcher(programs, 1, 1, stream, *known, *values)

    try:
        call = vars(launcher)["launch"]
        fixed, nested = _handed_on(launcher, known, count)
        again, _ = _handed_on(launcher, known, count)
    except Exception:  # another launcher than those of Triton 3.6 to 3.8
        return by_launcher
    if len(fixed) != len(again) or any(
        one is not other for one, other in zip(fixed, again, strict=False)
    ):
        return by_launcher

    def directly(programs: int, stream: int, values: list[Any]) -> None:
        call(programs, 1, 1, stream, *fixed, tuple(values))

    def directly_flat(programs: int, stream: int, values: list[Any]) -> None:
        call(programs, 1, 1, stream, *fixed, *values)

    return directly if nested else directly_flat


def _handed_on(launcher: Any, known: tuple[Any, ...], count: int) -> tuple[tuple[Any, ...], bool]:
    """What a launcher hands on between the stream and the values, and whether these are a tuple.

    Raises:
        Exception: of any kind, where it hands them on in another way.
    """
    handed: list[tuple[Any, ...]] = []
    asked = copy.copy(launcher)
    asked.launch = lambda *given: handed.append(given)
    programs, stream, *values = (object() for _ in range(2 + count))
    asked(programs, 1, 1, stream, *known, *values)
    (given,) = handed
    nested = given[-1] == tuple(values)
    end = len(given) - (1 if nested else count)
    if given[:4] != (programs, 1, 1, stream) or (given[end:] != tuple(values) and not nested):
        raise ValueError(f"a launcher handed on {given}")
    return given[4:end], nested


def arranged(kernel: Any, arguments: dict[str, Any]) -> list[Any]:
    """The arguments in the order of the parameters, addresses in the place of tensors."""
    return [
        value.data_ptr() if type(value) is torch.Tensor else value
        for value in map(arguments.__getitem__, kernel.arg_names)
    ]


def hooked(kernel: Any) -> bool:
    """Whether Triton must launch: it interprets, or a profiler asked to be told of launches."""
    enter, leave = knobs.runtime.launch_enter_hook, knobs.runtime.launch_exit_hook
    return bool(
        not isinstance(kernel, JITFunction)
        or kernel.pre_run_hooks
        or getattr(enter, "calls", enter)
        or getattr(leave, "calls", leave)
    )


def compile_for(kernel: Any, arguments: dict[str, Any]) -> Start | None:
    """The variant that these arguments select, on the current device; None: Triton must launch."""
    key = variant(kernel, arguments)
    if key is None:
        return None
    found = _compiled.get(key)
    if found is None:
        compiled = kernel.warmup(**arguments, grid=(1,))  # compiles, or finds what is compiled
        if not isinstance(compiled, CompiledKernel):  # Triton's asynchronous mode is compiling it
            return None
        found = _compiled[key] = starter(compiled, len(kernel.arg_names))
    return found


def variant(kernel: Any, arguments: dict[str, Any]) -> tuple[Any, ...] | None:
    """What decides which compiled kernel a launch needs; None where these rules cannot tell."""
    if id(kernel) not in _parameters:  # kernels live as long as their modules
        _parameters[id(kernel)] = _read(kernel)
    parameters = _parameters[id(kernel)]
    if parameters is None:
        return None
    options = [arguments.get(name) for name in OPTIONS]
    if len(arguments) != len(parameters.names) + len(options) - options.count(None):
        return None
    key = [id(kernel), driver.active.get_current_device(), *options]
    key += [arguments[name] for name in parameters.constants]
    for name, aligned in parameters.typed.items():
        value = arguments[name]
        if type(value) is torch.Tensor:
            key.append((value.dtype, aligned and value.data_ptr() % ALIGNMENT == 0))
        elif type(value) is tuple and all(type(part) is float for part in value):
            key.append(len(value))
        elif type(value) is tuple and all(_is_plain(part) for part in value):
            key.append((len(value), int))
        else:
            return None
    return tuple(key)


def _is_plain(value: Any) -> bool:
    """Whether a value is for Triton an int64 and nothing more, see ``triton_.constants_of``."""
    return type(value) is int and 2**31 <= value < 2**63 and value % 2 == 1


def _read(kernel: Any) -> Parameters | None:
    """None where the value of an integer would select a variant."""
    constants, typed = [], {}
    for parameter in kernel.params:
        if parameter.is_constexpr:
            constants.append(parameter.name)
        elif not parameter.annotation_type:
            fixed = parameter.do_not_specialize or parameter.do_not_specialize_on_alignment
            typed[parameter.name] = not fixed
        elif not parameter.do_not_specialize:
            return None
    return Parameters(tuple(kernel.arg_names), tuple(constants), typed)
