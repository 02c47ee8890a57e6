"""Host memory in the place of a GPU, so that CUDA branches run without one.

What is asked for on "cuda" is made on the CPU.  The benchmarks alone are told that it lies on a
GPU, and tritoninit fills host memory; or tritoninit is told, too, and launches its kernels, which
a machine then runs (``tests/ptx/``).  Times mean nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode

CUDA = torch.device("cuda", 0)
CPU = torch.device("cpu")
BENCHMARKS, EVERYONE = "benchmarks.", ""  # who is told, by the beginning of the module's name
IS_CUDA, IS_CPU, DEVICE = (
    getattr(torch.Tensor, name).__get__ for name in ("is_cuda", "is_cpu", "device")
)
TOLD = {IS_CUDA: True, IS_CPU: False, DEVICE: CUDA}


class Event:
    """torch.cuda.Event by the host's clock."""

    def __init__(self, enable_timing: bool = False) -> None:
        self.at = 0.0

    def record(self) -> None:
        self.at = time.perf_counter()

    def synchronize(self) -> None:
        pass

    def elapsed_time(self, end: Event) -> float:
        return (end.at - self.at) * 1e3


def _is_cuda(value: Any) -> bool:
    if isinstance(value, str):
        return value.partition(":")[0] == "cuda"
    return isinstance(value, torch.device) and value.type == "cuda"


class OnHost(TorchFunctionMode):
    """Makes on the CPU what is asked for on CUDA, and remembers which memory that is."""

    def __init__(self, told: str) -> None:
        super().__init__()
        self._told = told
        self._made: dict[int, StorageWeakRef] = {}  # holds an address, which is not used again

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in TOLD:
            caller = sys._getframe(1).f_globals["__name__"]
            told = caller.startswith(self._told) and self._holds(args[0])
            return TOLD[func] if told else func(*args)
        module = getattr(func, "__module__", None) or ""
        if module.startswith("tritoninit."):  # an initializer, which torch hands over
            with self if self._told == EVERYONE else nullcontext():
                return func.__wrapped__(*args, **kwargs)  # type: ignore[attr-defined]
        if func is torch.Tensor.cpu:
            return args[0].clone()
        asked = func is not torch.device and any(map(_is_cuda, (*args, kwargs.get("device"))))
        if asked:
            args = [CPU if _is_cuda(value) else value for value in args]
            kwargs = {name: CPU if _is_cuda(value) else value for name, value in kwargs.items()}
        kwargs |= {"pin_memory": False} if kwargs.get("pin_memory") else {}
        result = func(*args, **kwargs)
        if isinstance(result, torch.Tensor) and not result.is_meta:
            given = any(isinstance(value, torch.Tensor) and self._holds(value) for value in args)
            if asked or given:
                storage = result.untyped_storage()
                self._made.setdefault(storage._cdata, StorageWeakRef(storage))
        return result

    def _holds(self, tensor: torch.Tensor) -> bool:
        with torch._C.DisableTorchFunction():
            return not tensor.is_meta and tensor.untyped_storage()._cdata in self._made


def install(name: str, free_bytes: int, told: str) -> None:
    """Let torch.cuda look present, as a card of this name with so much free memory."""
    facts = SimpleNamespace(
        name=name, major=9, minor=0, multi_processor_count=132, total_memory=free_bytes
    )
    nothing = dict.fromkeys(("synchronize", "empty_cache", "reset_peak_memory_stats"))
    answers = {
        "is_available": True,
        "device_count": 0,  # whose generators are kept
        "current_device": 0,
        "get_device_capability": (9, 0),
        "device_of": nullcontext(),
        "get_device_properties": facts,
        "get_device_name": name,
        "mem_get_info": (free_bytes, free_bytes),
        "memory_allocated": 0,
        "max_memory_allocated": 0,
        **nothing,
    }
    for function, answer in answers.items():
        setattr(torch.cuda, function, lambda *_, answer=answer: answer)
    torch.cuda.Event = Event  # type: ignore[misc]
    OnHost(told).__enter__()
