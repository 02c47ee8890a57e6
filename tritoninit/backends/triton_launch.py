"""Launching a kernel that is compiled already, without asking Triton which one it is.

``kernel[grid](...)`` describes every argument to find the compiled kernel, at each launch: 11 of
the 12 us that one takes on the host beside the driver's share (Triton 3.7.1, 3 GHz).  Of these
kernels no integer selects a variant, so a few values decide, and the others are passed on.
"""

from __future__ import annotations

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


_parameters: dict[int, Parameters | None] = {}
_compiled: dict[tuple[Any, ...], CompiledKernel] = {}


def launch(kernel: Any, programs: int, arguments: dict[str, Any]) -> None:
    """``kernel[(programs,)](**arguments)`` on the current device and its current stream."""
    compiled = None if hooked(kernel) else compile_for(kernel, arguments)
    if compiled is None:
        kernel[(programs,)](**arguments)
    else:
        run(compiled, driver.active.get_current_device(), programs, arranged(kernel, arguments))


def run(compiled: CompiledKernel, device: int, programs: int, values: list[Any]) -> None:
    """Launch on the current device; ``values`` are one a parameter, see ``arranged``."""
    stream = driver.active.get_current_stream(device)
    start = compiled.run  # loads the kernel at its first use
    function, metadata = compiled.function, compiled.packed_metadata
    start(programs, 1, 1, stream, function, metadata, None, None, None, *values)


def arranged(kernel: Any, arguments: dict[str, Any]) -> list[Any]:
    """The arguments in the order of the parameters, addresses in the place of tensors."""
    return [
        value.data_ptr() if type(value) is torch.Tensor else value
        for value in map(arguments.__getitem__, kernel.arg_names)
    ]


def hooked(kernel: Any) -> bool:
    """Whether Triton must launch: it interprets, or a profiler asked to be told of launches."""
    if not isinstance(kernel, JITFunction):
        return True
    enter, leave = knobs.runtime.launch_enter_hook, knobs.runtime.launch_exit_hook
    hooks = (kernel.pre_run_hooks, getattr(enter, "calls", enter), getattr(leave, "calls", leave))
    return any(hooks)


def compile_for(kernel: Any, arguments: dict[str, Any]) -> CompiledKernel | None:
    """The variant that these arguments select, on the current device; None: Triton must launch."""
    key = variant(kernel, arguments)
    if key is None:
        return None
    found = _compiled.get(key)
    if found is None:
        found = kernel.warmup(**arguments, grid=(1,))  # compiles, or finds what is compiled
        if not isinstance(found, CompiledKernel):  # Triton's asynchronous mode is compiling it
            return None
        _compiled[key] = found
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
