"""Other libraries that draw the same distributions, where they are installed.

Each peer is tried once; one that is missing, or refuses the dtype or the device, is named with
its reason.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.common import reason
from benchmarks.timing import Contestant

NUMPY = {"normal_": "standard_normal", "uniform_": "random"}
TORCH = {"normal_": "normal_", "uniform_": "uniform_"}
JAX_MOST = 1 << 30  # elements: two results and their temporaries lie beside torch's tensor
JAX_PROBE = """
import torch
torch.ones(1, device="cuda")
import jax
jax.random.normal(jax.random.key(0), (8,)).block_until_ready()
"""
PROBE_S = 90
JAX = {"normal_": "normal", "uniform_": "uniform", "trunc_normal_": "truncated_normal"}


def _numpy(op: str, tensor: Tensor) -> Contestant:
    """numpy's default generator (PCG64), into the same memory."""
    if tensor.device.type != "cpu" or tensor.dtype != torch.float32:
        raise TypeError("numpy's Generator draws float32 on the CPU only")
    draw = getattr(np.random.default_rng(0), NUMPY[op])
    out = tensor.numpy()
    return Contestant("numpy", lambda: draw(dtype=np.float32, out=out))


def _torch_func(op: str, tensor: Tensor) -> Contestant:
    """torch's stateless Philox, into the same memory."""
    module = importlib.import_module("torch.func._random")
    key = module.key(0, device=tensor.device)
    draw = getattr(module, TORCH[op])
    return Contestant("torch.func._random", lambda: draw(key, tensor))


@cache
def _fault_of_jax() -> str:
    """Why JAX cannot draw beside torch on a GPU, else nothing.

    Two libraries' CUDA in one process may crash it: they are tried in a process of its own.
    """
    command = [sys.executable, "-c", JAX_PROBE]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_S)
    except subprocess.TimeoutExpired:
        return f"drew nothing beside torch in {PROBE_S} s"
    last = (run.stderr.strip().splitlines() or ["no message"])[-1]
    return f"ended with {run.returncode} beside torch: {last}" if run.returncode else ""


def _jax(op: str, tensor: Tensor) -> Contestant:
    """jax.random with its default key type, jit-compiled; the result is a new array."""
    if tensor.numel() > JAX_MOST:
        raise ValueError(f"more than {JAX_MOST} elements may not fit beside the tensor")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if tensor.is_cuda and _fault_of_jax():
        raise RuntimeError(_fault_of_jax())
    jax: Any = importlib.import_module("jax")
    device = jax.devices("gpu" if tensor.device.type == "cuda" else "cpu")[0]
    key = jax.device_put(jax.random.key(0), device)
    draw = getattr(jax.random, JAX[op])
    bounds = (-2.0, 2.0) if op == "trunc_normal_" else ()
    name = str(tensor.dtype).removeprefix("torch.")
    compiled = jax.jit(lambda k: draw(k, *bounds, shape=tuple(tensor.shape), dtype=name))
    return Contestant("jax", lambda: compiled(key), lambda array: array.block_until_ready())


def _flag_gems(op: str, tensor: Tensor) -> Contestant:
    """FlagGems' Triton kernels, into the same memory."""
    if tensor.device.type != "cuda":
        raise TypeError("FlagGems' kernels run on GPUs")
    draw = getattr(importlib.import_module("flag_gems"), TORCH[op])
    return Contestant("flag_gems", lambda: draw(tensor))


PEERS: dict[str, tuple[dict[str, str], Callable[[str, Tensor], Contestant]]] = {
    "numpy": (NUMPY, _numpy),
    "torch.func._random": (TORCH, _torch_func),
    "jax": (JAX, _jax),
    "flag_gems": (TORCH, _flag_gems),
}


def contestants(op: str, tensor: Tensor, skipped: dict[str, str]) -> list[Contestant]:
    """The peers that draw ``op``; those that cannot are put into ``skipped`` with the reason."""
    found = []
    for name, (operations, make) in PEERS.items():
        if op not in operations:
            continue
        try:
            peer = make(op, tensor)
            result = peer.call()
            if peer.finish is not None:
                peer.finish(result)
        except Exception as error:
            dtype = str(tensor.dtype).removeprefix("torch.")
            where = f"{name}, {dtype} on {tensor.device.type}"
            skipped[where] = reason(error)
        else:
            found.append(peer)
    return found
