"""torch.nn.init on tritoninit's stream.

Every public name of ``torch.nn.init``, with the same parameters, defaults, return values,
errors, warnings and deprecated aliases.  Two things differ.  The values are a pure function of
the key and the element's global index, the same bits on CPU and GPU (``STREAM.md``); and the
arguments are wider:

- ``generator`` also takes a :class:`tritoninit.Key`, which makes the call pure; ``None`` takes
  one draw of 64 bits from torch's default CPU generator, whatever the tensor's device or size;
- ``global_shape`` and ``global_offset`` (keyword-only) fill the part of a larger tensor that
  the argument holds: a box that begins at the tuple ``global_offset``, or, for a
  one-dimensional tensor, the flat run from the row-major index ``global_offset`` on.  Fans,
  groups and column counts are those of ``global_shape``;
- a ``DTensor``, on any placement, is given this rank's part of the unsharded tensor, without a
  collective: every rank calls with the same key, or under the same ``torch.manual_seed``.

bfloat16 and float16 values are the float32 values rounded once.  Meta and fake tensors are
returned as they are and consume nothing.

The kernels are no operations of torch.  Under ``torch.compile`` a call breaks the graph and runs
as it does without; under ``make_fx``, ``torch.export`` and ``torch.jit.trace`` it is a
RuntimeError, as is a draw from a generator while a CUDA graph is captured.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

from torch.nn.init import calculate_gain

from tritoninit.init.call import P, R
from tritoninit.init.distributions import (
    normal_,
    orthogonal_,
    sparse_,
    trunc_normal_,
    uniform_,
)
from tritoninit.init.patterns import constant_, dirac_, eye_, ones_, zeros_
from tritoninit.init.variance import (
    kaiming_normal_,
    kaiming_uniform_,
    xavier_normal_,
    xavier_uniform_,
)

__all__ = [
    "calculate_gain",
    "uniform_",
    "normal_",
    "trunc_normal_",
    "constant_",
    "ones_",
    "zeros_",
    "eye_",
    "dirac_",
    "xavier_uniform_",
    "xavier_normal_",
    "kaiming_uniform_",
    "kaiming_normal_",
    "orthogonal_",
    "sparse_",
    # Deprecated aliases, as in torch.nn.init
    "uniform",
    "normal",
    "constant",
    "eye",
    "dirac",
    "xavier_uniform",
    "xavier_normal",
    "kaiming_uniform",
    "kaiming_normal",
    "orthogonal",
    "sparse",
]


def _make_deprecate(meth: Callable[P, R]) -> Callable[P, R]:
    new_name = meth.__name__
    old_name = new_name[:-1]

    def deprecated_init(*args: P.args, **kwargs: P.kwargs) -> R:
        warnings.warn(
            f"`nn.init.{old_name}` is now deprecated in favor of `nn.init.{new_name}`.",
            FutureWarning,
            stacklevel=2,
        )
        return meth(*args, **kwargs)

    deprecated_init.__doc__ = f"Deprecated in favour of :func:`{new_name}`, as in torch.nn.init."
    deprecated_init.__name__ = old_name
    return deprecated_init


uniform = _make_deprecate(uniform_)
normal = _make_deprecate(normal_)
constant = _make_deprecate(constant_)
eye = _make_deprecate(eye_)
dirac = _make_deprecate(dirac_)
xavier_uniform = _make_deprecate(xavier_uniform_)
xavier_normal = _make_deprecate(xavier_normal_)
kaiming_uniform = _make_deprecate(kaiming_uniform_)
kaiming_normal = _make_deprecate(kaiming_normal_)
orthogonal = _make_deprecate(orthogonal_)
sparse = _make_deprecate(sparse_)
