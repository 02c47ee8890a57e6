"""Other libraries that draw the same distributions, where they are installed.

Each peer is tried once; one that is missing, or refuses the dtype or the device, is named with
its reason.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.timing import Contestant

NUMPY = {"normal_": "standard_normal", "uniform_": "random"}
TORCH = {"normal_": "normal_", "uniform_": "uniform_"}
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


def _jax(op: str, tensor: Tensor) -> Contestant:
    """jax.random with its default key type, jit-compiled; the result is a new array."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
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
            skipped[where] = str(error).split("\n")[0].split(". ")[0]
        else:
            found.append(peer)
    return found
