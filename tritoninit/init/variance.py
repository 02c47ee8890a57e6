"""Initializers that scale by the fans: Xavier (Glorot) and Kaiming (He)."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn.init import calculate_gain

from tritoninit.init.call import Generator, Offset, overridable, shape_of
from tritoninit.init.distributions import normal_, uniform_
from tritoninit.layout import is_whole
from tritoninit.ready import KEPT
from tritoninit.region import Shape

if TYPE_CHECKING:
    from torch.nn.init import _FanMode, _NonlinearityType

# Without their own look for ``__torch_function__``: each function here has looked.
_uniform: Callable[..., Tensor] = inspect.unwrap(uniform_)
_normal: Callable[..., Tensor] = inspect.unwrap(normal_)
MODES = ["fan_in", "fan_out"]
_gain = lru_cache(maxsize=KEPT, typed=True)(calculate_gain)


def _fans(shape: Shape) -> tuple[int, int]:
    """(fan_in, fan_out)."""
    if len(shape) < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"
        )
    if len(shape) == 2:
        return shape[1], shape[0]
    receptive_field_size = math.prod(shape[2:])
    return shape[1] * receptive_field_size, shape[0] * receptive_field_size


def _fan(shape: Shape, mode: _FanMode) -> int:
    lowered = mode.lower()
    if lowered not in MODES:
        raise ValueError(f"Mode {lowered} not supported, please use one of {MODES}")
    return _fans(shape)[lowered == "fan_out"]


@overridable
def xavier_uniform_(
    tensor: Tensor,
    gain: float = 1.0,
    generator: Generator = None,
    *,
    global_shape: Shape | None = None,
    global_offset: Offset = None,
) -> Tensor:
    r"""Fill the tensor with values of Xavier's (Glorot's) uniform distribution.

    :math:`\mathcal{U}(-a, a)`, :math:`a = \text{gain} \sqrt{6 / (\text{fan\_in} +
    \text{fan\_out})}`; Glorot and Bengio, AISTATS 2010.

    Args:
        tensor: an n-dimensional tensor, n >= 2
        gain: an optional scaling factor
        generator: a torch.Generator, a :class:`tritoninit.Key`, or None
        global_shape: the shape of the tensor that ``tensor`` is a part of
        global_offset: where the part begins
    """
    whole = is_whole(tensor, global_shape, global_offset)
    fan_in, fan_out = _fans(shape_of(tensor, global_shape, whole))
    std = gain * math.sqrt(2.0 / float(fan_in + fan_out))
    a = math.sqrt(3.0) * std
    return _uniform(
        tensor, -a, a, generator, global_shape=global_shape, global_offset=global_offset
    )


@overridable
def xavier_normal_(
    tensor: Tensor,
    gain: float = 1.0,
    generator: Generator = None,
    *,
    global_shape: Shape | None = None,
    global_offset: Offset = None,
) -> Tensor:
    r"""Fill the tensor with values of Xavier's (Glorot's) normal distribution.

    :math:`\mathcal{N}(0, \text{std}^2)`, :math:`\text{std} = \text{gain} \sqrt{2 /
    (\text{fan\_in} + \text{fan\_out})}`; Glorot and Bengio, AISTATS 2010.

    Args:
        tensor: an n-dimensional tensor, n >= 2
        gain: an optional scaling factor
        generator: a torch.Generator, a :class:`tritoninit.Key`, or None
        global_shape: the shape of the tensor that ``tensor`` is a part of
        global_offset: where the part begins
    """
    whole = is_whole(tensor, global_shape, global_offset)
    fan_in, fan_out = _fans(shape_of(tensor, global_shape, whole))
    std = gain * math.sqrt(2.0 / float(fan_in + fan_out))
    return _normal(
        tensor, 0.0, std, generator, global_shape=global_shape, global_offset=global_offset
    )


def _kaiming_std(shape: Shape, a: float, mode: _FanMode, nonlinearity: _NonlinearityType) -> float:
    fan = _fan(shape, mode)
    plain = type(a) in (float, int) and type(nonlinearity) is str
    gain = (_gain if plain else calculate_gain)(nonlinearity, a)
    return gain / math.sqrt(fan)


@overridable
def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: _FanMode = "fan_in",
    nonlinearity: _NonlinearityType = "leaky_relu",
    generator: Generator = None,
    *,
    global_shape: Shape | None = None,
    global_offset: Offset = None,
) -> Tensor:
    r"""Fill the tensor with values of Kaiming's (He's) uniform distribution.

    :math:`\mathcal{U}(-b, b)`, :math:`b = \text{gain} \sqrt{3 / \text{fan\_mode}}`; He et al.,
    ICCV 2015.

    Args:
        tensor: an n-dimensional tensor, n >= 2
        a: the negative slope of the rectifier after this layer (``'leaky_relu'`` only)
        mode: ``'fan_in'`` or ``'fan_out'``
        nonlinearity: the name of the function in `nn.functional`
        generator: a torch.Generator, a :class:`tritoninit.Key`, or None
        global_shape: the shape of the tensor that ``tensor`` is a part of
        global_offset: where the part begins

    Note:
        As in torch.nn.init the fans assume ``x @ w.T``; for ``x @ w`` pass ``w.T``.
    """
    whole = is_whole(tensor, global_shape, global_offset)
    shape = shape_of(tensor, global_shape, whole)
    if 0 in shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return tensor
    std = _kaiming_std(shape, a, mode, nonlinearity)
    bound = math.sqrt(3.0) * std
    return _uniform(
        tensor, -bound, bound, generator, global_shape=global_shape, global_offset=global_offset
    )


@overridable
def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: _FanMode = "fan_in",
    nonlinearity: _NonlinearityType = "leaky_relu",
    generator: Generator = None,
    *,
    global_shape: Shape | None = None,
    global_offset: Offset = None,
) -> Tensor:
    r"""Fill the tensor with values of Kaiming's (He's) normal distribution.

    :math:`\mathcal{N}(0, \text{std}^2)`, :math:`\text{std} = \text{gain} /
    \sqrt{\text{fan\_mode}}`; He et al., ICCV 2015.  Arguments as :func:`kaiming_uniform_`.
    """
    whole = is_whole(tensor, global_shape, global_offset)
    shape = shape_of(tensor, global_shape, whole)
    if 0 in shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return tensor
    std = _kaiming_std(shape, a, mode, nonlinearity)
    return _normal(
        tensor, 0.0, std, generator, global_shape=global_shape, global_offset=global_offset
    )
