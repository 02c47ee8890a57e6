"""Compiling the sampling source with machine instructions in the place of ``arith.py``.

The fused multiply-add is LLVM's ``llvm.fma``; ``fastmath`` stays off, so nothing is contracted
or reordered, and the bits are numpy's.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
import os
import stat
import tempfile
import threading
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import types as nbt
from numba.extending import intrinsic

from tritoninit import arith, coefficients, philox, sampling, sampling64

logger = logging.getLogger("tritoninit")

_config: Any = numba.config
if _config.DISABLE_JIT:
    raise ImportError("NUMBA_DISABLE_JIT is set, so that numba compiles nothing")


@intrinsic
def fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """llvm.fma on float32."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return nbt.float32(nbt.float32, nbt.float32, nbt.float32), codegen


def _bitcast(source: Any, target: Any) -> Any:
    @intrinsic
    def cast(typingctx: Any, x: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], context.get_value_type(signature.return_type))

        return target(source), codegen

    return cast


i32_of_f32 = _bitcast(nbt.float32, nbt.int32)
f32_of_i32 = _bitcast(nbt.int32, nbt.float32)
_i64_of_f64 = _bitcast(nbt.float64, nbt.int64)
_f64_of_i64 = _bitcast(nbt.int64, nbt.float64)


@intrinsic
def put(typingctx: Any, address: Any, index: Any, value: Any) -> Any:
    """Write element ``index`` of the memory at ``address``, which need not be aligned."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address, index, value = args
        memory = builder.inttoptr(address, value.type.as_pointer())
        builder.store(value, builder.gep(memory, [index]), align=1)
        return context.get_dummy_value()

    return nbt.void(nbt.intp, nbt.int64, value), codegen


def _clamp(x: Any, low: Any, high: Any) -> Any:
    raised = x if x > low else low
    return raised if raised < high else high


OPERATIONS: dict[str, Callable[..., Any]] = {
    "sqrt": lambda x: np.sqrt(x),
    "divide": lambda a, b: a / b,
    "select": lambda condition, a, b: a if condition else b,
    "clamp": _clamp,
    "to_u32": lambda x: np.uint32(x),
    "whole": lambda x: np.int64(x),
    "to_i32": lambda x: np.int32(x),
    "to_u64": lambda x: np.uint64(x),
    "to_i64": lambda x: np.int64(x),
    "to_f32": lambda x: np.float32(x),
    "to_f64": lambda x: np.float64(x),
    "bits_of_f32": lambda x: i32_of_f32(x),
    "f32_of_bits": lambda x: f32_of_i32(np.int32(x)),
    "bits_of_f64": lambda x: _i64_of_f64(x),
    "f64_of_bits": lambda x: _f64_of_i64(np.int64(x)),
}


def _compiled_operations() -> dict[str, Any]:
    table: dict[str, Any] = {
        name: numba.njit(error_model="numpy", forceinline=True)(function)
        for name, function in OPERATIONS.items()
    }
    table["fma"] = fma
    return table


@lru_cache
def compiled_scope(module: types.ModuleType) -> dict[str, Any]:
    """The module's globals with arith's operations and its own functions compiled."""
    scope = dict(vars(module))
    scope.update(_compiled_operations())
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if function.__module__ == module.__name__:
            rebound = types.FunctionType(
                function.__code__, scope, name, function.__defaults__, function.__closure__
            )
            scope[name] = numba.njit(error_model="numpy", forceinline=True)(rebound)
    return scope


@lru_cache
def source_hash() -> str:
    """A hash of everything the kernels are made from."""
    digest = hashlib.blake2b(digest_size=6)
    for module in (arith, coefficients, philox, sampling, sampling64):
        digest.update(inspect.getsource(module).encode())
    for path in sorted(Path(__file__).parent.glob("numba_*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def compiled(function: types.FunctionType) -> Any:
    """numba's dispatcher of a kernel that releases the GIL.

    Cached on disk: in NUMBA_CACHE_DIR, beside the package, in the user's cache, or where none
    of them can be written (a read-only install without a home) in a folder for temporary files.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "boundscheck": False}
    try:
        return _cached(numba.njit(cache=True, **options)(function))
    except RuntimeError as reason:  # numba found no folder
        refused = reason
    try:
        with _cache_in(_temporary_folder()):
            return _cached(numba.njit(cache=True, **options)(function))
    except (RuntimeError, OSError, AttributeError):
        logger.info("%s is compiled anew in every process: %s", function.__qualname__, refused)
        return numba.njit(**options)(function)


class ForgivingCache:
    """A dispatcher's cache on disk, of which a failure costs a compilation and no more.

    numba raises what a full disk, a quota or a file that a crash cut short does, in every call.
    """

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def load_overload(self, *args: Any) -> Any:
        """What was kept; None where there is nothing, or nothing that can be read."""
        try:
            return self._cache.load_overload(*args)
        except Exception as error:  # of pickle, which may raise any, or of the file system
            logger.info("%s is compiled anew: %r", self._cache, error)
            with suppress(OSError):
                self._cache.flush()
        return None

    def save_overload(self, *args: Any) -> None:
        """Keep it where that is possible."""
        try:
            self._cache.save_overload(*args)
        except Exception as error:
            logger.info("%s is not kept: %r", self._cache, error)


def _cached(dispatcher: Any) -> Any:
    dispatcher._cache = ForgivingCache(dispatcher._cache)
    return dispatcher


_alone = threading.Lock()


@contextmanager
def _cache_in(folder: Path) -> Iterator[None]:
    """Let numba choose ``folder`` for what is decorated inside."""
    with _alone:
        given, _config.CACHE_DIR = _config.CACHE_DIR, str(folder)
        try:
            yield
        finally:
            _config.CACHE_DIR = given


def _temporary_folder() -> Path:
    """A folder of this user's alone, since what is cached there is executed.

    Raises:
        OSError: there is none; AttributeError: the system has no user ids.
    """
    folder = Path(tempfile.gettempdir()) / f"tritoninit-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise PermissionError(f"{folder} is open to other users")
    return folder
