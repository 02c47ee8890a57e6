"""Code that calls torch.nn.init, run on tritoninit's kernels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from tritoninit import init
from tritoninit.init.exchange import Function, Replace, exchanged

PUBLIC = tuple(name for name in init.__all__ if name.endswith("_"))
PRIVATE = {"_no_grad_trunc_normal_": "trunc_normal_"}  # called directly by some models


@contextmanager
def patch() -> Iterator[None]:
    """Every function of torch.nn.init is tritoninit.init's inside, wherever it was imported.

    ::

        with tritoninit.patch():
            model = build()             # constructors, reset_parameters(), init_weights(), ...

    The same calls, arguments and errors; the values are those of ``tritoninit.init``: each call
    draws 64 bits from torch's generator, so they follow ``torch.manual_seed`` and the order of
    the calls, but neither the device nor the sharding.  It holds in all threads, and may be
    nested.  Methods of tensors (``weight.data.normal_()``) are not calls of torch.nn.init.  Use
    :func:`tritoninit.materialize` for values that do not depend on the order either.
    """
    with exchanged((torchs, _instead(ours)) for torchs, ours in torchs_initializers()):
        yield


def torchs_initializers() -> Iterator[tuple[Any, str]]:
    """The initializers of torch.nn.init, each with the name of the one of ours that it is."""
    for name, ours in {**{name: name for name in PUBLIC}, **PRIVATE}.items():
        function = getattr(torch.nn.init, name, None)
        if function is not None:
            yield function, ours


def _instead(name: str) -> Replace:
    ours: Function = getattr(init, name)

    def replace(_: Function) -> Function:
        return ours

    return replace
