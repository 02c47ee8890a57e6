"""Code that calls torch.nn.init, run on tritoninit's kernels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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
    names = {**{name: name for name in PUBLIC}, **PRIVATE}
    functions = ((getattr(torch.nn.init, name, None), ours) for name, ours in names.items())
    with exchanged((torchs, _instead(ours)) for torchs, ours in functions if torchs is not None):
        yield


def _instead(name: str) -> Replace:
    ours: Function = getattr(init, name)

    def replace(_: Function) -> Function:
        return ours

    return replace
