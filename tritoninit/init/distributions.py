"""Initializers that name their distribution: uniform, normal, truncated, sparse, orthogonal."""

from __future__ import annotations

import math
import warnings

from torch import Tensor

from tritoninit.init.call import (
    Generator,
    Offset,
    checked_recipe,
    draw,
    has_no_memory,
    is_symbolic,
    overridable,
    shape_of,
)
from tritoninit.init.parity import (
    as_float,
    as_floats,
    check_normal,
)
from tritoninit.layout import is_whole
from tritoninit.recipe import Normal, Orthogonal, Sparse, TruncNormal, Uniform
from tritoninit.region import Shape


@overridable
def uniform_(
    tensor: Tensor,
    a: float = 0.0,
    b: float = 1.0,
    generator: Generator = None,
    *,
    global_shape: Shape | None = None,
    global_offset: Offset = None,
) -> Tensor:
    r"""Fill the tensor with values of :math:`\mathcal{U}(a, b)`.

    value = a + (b - a) k / 2**24 for an integer k in [0, 2**24), rounded once; float32 values
    lie in [a, b), bfloat16 and float16 in [a, b] with the bounds rounded to the dtype.  float64
    has 53 bits.

    Args:
        tensor: an n-dimensional tensor
        a: the lower bound
        b: the upper bound
        generator: a torch.Generator, a :class:`tritoninit.Key`, or None
        global_shape: the shape of the tensor that ``tensor`` is a part of
        global_offset: where the part begins

    Raises:
        RuntimeError: a > b or a bound that is not finite, as ``Tensor.uniform_``.
        ValueError: 0 < b - a < 2**-102 (float64: 2**-969), whose steps no float of its kind holds.

    >>> import torch, tritoninit
    >>> tritoninit.init.uniform_(torch.empty(2), -1.0, 1.0, generator=tritoninit.Key(0))
    tensor([-0.6882, -0.1737])
    """
    if not type(a) is type(b) is float:
        a, b = as_floats("uniform_", a, b)
    whole = is_whole(tensor, global_shape, global_offset)
    return draw(tensor, whole, generator, global_shape, global_offset, Uniform, a, b)


@overridable
def normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    generator: Generator = None,
    *,
    global_shape: Shape | None = None,
    global_offset: Offset = None,
) -> Tensor:
    r"""Fill the tensor with values of :math:`\mathcal{N}(\text{mean}, \text{std}^2)`.

    Box and Muller's transform of pairs of neighbouring elements; the largest value is 6.76
    standard deviations from the mean (float64: 8.49).

    Args:
        tensor: an n-dimensional tensor
        mean: the mean
        std: the standard deviation
        generator: a torch.Generator, a :class:`tritoninit.Key`, or None
        global_shape: the shape of the tensor that ``tensor`` is a part of
        global_offset: where the part begins

    Raises:
        RuntimeError: std < 0 or NaN, as ``Tensor.normal_``.
        ValueError: mean or std is not finite, or beyond the range of the arithmetic: float32,
            for float64 float64 (torch fills the tensor with NaN or infinities).
    """
    if not type(mean) is type(std) is float:
        mean, std = as_floats("normal_", mean, std)
    whole = is_whole(tensor, global_shape, global_offset)
    return draw(tensor, whole, generator, global_shape, global_offset, Normal, mean, std)


@overridable
def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator = None,
    *,
    global_shape: Shape | None = None,
    global_offset: Offset = None,
) -> Tensor:
    r"""Fill the tensor with values of a truncated normal distribution.

    :math:`\mathcal{N}(\text{mean}, \text{std}^2)` conditioned on :math:`[a, b]`, by the inverse
    distribution function: one word an element, one pass, for any bounds, infinite and far ones
    included.  Every value v satisfies a <= v <= b after rounding to the dtype (where the dtype
    has a value in [a, b]).  Bounds 7 standard deviations or more from the mean on both sides
    cannot be reached; the values are then those of :func:`normal_`.

    Args:
        tensor: an n-dimensional tensor
        mean: the mean of the normal distribution
        std: the standard deviation of the normal distribution
        a: the minimum cutoff value
        b: the maximum cutoff value
        generator: a torch.Generator, a :class:`tritoninit.Key`, or None
        global_shape: the shape of the tensor that ``tensor`` is a part of
        global_offset: where the part begins

    Warns:
        UserWarning: as torch.nn.init does where the mean is more than 2 std from [a, b], though
            the values here are right.

    Raises:
        RuntimeError: a > b, a NaN bound, or no finite value of the dtype in [a, b], as
            ``Tensor.uniform_`` does in torch.nn.init.
        ValueError: std is not finite and positive, or mean is not finite.
    """
    if not type(mean) is type(std) is type(a) is type(b) is float:
        mean, std = as_float("mean", mean), as_float("std", std)
        a, b = as_float("a", a), as_float("b", b)
    if (mean < a - 2 * std or mean > b + 2 * std) and not is_symbolic(tensor):
        checked_recipe(tensor, TruncNormal, (mean, std, a, b))  # errors come first
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect.",
            stacklevel=3,
        )
    whole = is_whole(tensor, global_shape, global_offset)
    return draw(tensor, whole, generator, global_shape, global_offset, TruncNormal, mean, std, a, b)


@overridable
def orthogonal_(
    tensor: Tensor,
    gain: float = 1,
    generator: Generator = None,
    *,
    global_shape: Shape | None = None,
    global_offset: Offset = None,
) -> Tensor:
    r"""Fill the tensor with a (semi) orthogonal matrix.

    Haar-distributed, times ``gain``; trailing dimensions are flattened.  Saxe et al., ICLR
    2014; computed in float64 on the whole matrix and rounded once.  On a CPU a square of n takes
    4 n^2 bytes beside the tensor, on a GPU 8 n^2 (``orthogonal.py``).

    Every rank that holds a part of a DTensor computes the whole matrix: to wait for another rank
    to compute and send it takes at least as long.  :func:`tritoninit.materialize`, which sees
    all matrices of a model, deals them out among the ranks where that is faster.

    Args:
        tensor: an n-dimensional tensor, n >= 2
        gain: optional scaling factor
        generator: a torch.Generator, a :class:`tritoninit.Key`, or None
        global_shape: the shape of the tensor that ``tensor`` is a part of
        global_offset: where the part begins

    A global tensor without elements is returned as it is and consumes nothing, as in torch.

    Raises:
        ValueError: fewer than 2 dimensions, or a gain that is not finite (torch writes NaN).
    """
    whole = is_whole(tensor, global_shape, global_offset)
    shape = shape_of(tensor, global_shape, whole)
    if len(shape) < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    gain = as_float("gain", gain)
    if not math.isfinite(gain):
        raise ValueError(f"orthogonal_ expects a finite gain, got gain={gain}")
    if has_no_memory(tensor, global_shape, global_offset) or 0 in shape:
        return tensor
    return draw(tensor, whole, generator, global_shape, global_offset, Orthogonal, gain)


@overridable
def sparse_(
    tensor: Tensor,
    sparsity: float,
    std: float = 0.01,
    generator: Generator = None,
    *,
    global_shape: Shape | None = None,
    global_offset: Offset = None,
) -> Tensor:
    r"""Fill the 2D tensor as a sparse matrix.

    Exactly ceil(sparsity * rows) zeros in every column, a uniformly random subset; the other
    elements are :math:`\mathcal{N}(0, \text{std}^2)`.  Martens, ICML 2010.

    Args:
        tensor: a 2-dimensional tensor (or a part of one)
        sparsity: the fraction of elements in each column to be set to zero
        std: the standard deviation of the non-zero values
        generator: a torch.Generator, a :class:`tritoninit.Key`, or None
        global_shape: the shape of the tensor that ``tensor`` is a part of
        global_offset: where the part begins

    Raises:
        ValueError: the global shape does not have 2 dimensions, or sparsity is outside [0, 1]
            (which torch.nn.init clips silently).
    """
    whole = is_whole(tensor, global_shape, global_offset)
    if len(shape_of(tensor, global_shape, whole)) != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    (_, std) = as_floats("normal_", 0.0, std)
    check_normal(tensor, 0.0, std)
    sparsity = as_float("sparsity", sparsity)
    return draw(tensor, whole, generator, global_shape, global_offset, Sparse, sparsity, std)
