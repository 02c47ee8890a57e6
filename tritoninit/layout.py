"""From tensors to regions: where a tensor's elements lie, locally and in the global tensor."""

from __future__ import annotations

import math
from collections.abc import Iterable
from operator import index
from typing import NamedTuple

import torch
from torch import Tensor
from torch._C import (
    _dispatch_keys,
    _dispatch_tls_is_dispatch_key_included,
    _is_tracing,
    _len_torch_dispatch_stack,
)

from tritoninit.region import Region, Shape
from tritoninit.sampler import DType

DTYPES = {
    torch.float32: DType.FLOAT32,
    torch.bfloat16: DType.BFLOAT16,
    torch.float16: DType.FLOAT16,
    torch.float64: DType.FLOAT64,
}
OVERLAP = (
    "unsupported operation: more than one element of the written-to tensor refers to a single"
    " memory location. Please clone() the tensor before performing the operation."
)
INFERENCE = (
    "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone"
    " to get a normal tensor before doing inplace update.See"
    " https://github.com/pytorch/rfcs/pull/17 for more details."
)
MAX_NUMEL = 2**62  # global indices, and twice as many for complex numbers, fit an int64
PLAIN_TYPES = frozenset({Tensor, torch.nn.Parameter})


def in_fake_mode() -> bool:
    """Whether torch makes FakeTensors now."""
    return torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.FAKE) is not None


def is_fake(tensor: Tensor) -> bool:
    """Whether it is a FakeTensor, which has no values."""
    from torch._subclasses.fake_tensor import FakeTensor

    return isinstance(tensor, FakeTensor)


class Placement(NamedTuple):
    """A region, and the shape of the global tensor, which decides fans, rows and columns."""

    region: Region
    shape: Shape

    @property
    def is_whole(self) -> bool:
        """Whether the region is all of the global tensor, in the global tensor's own shape."""
        return self.region.sizes == self.shape


def check_strided(tensor: Tensor) -> None:
    """Raise unless the tensor has sizes and strides over memory of its own.

    Raises:
        TypeError: a sparse, nested, MKL-DNN or quantised tensor, one that a function transform
            (vmap, grad, functionalize) wraps, or a subclass with ``__torch_dispatch__``.
    """
    if tensor.layout is not torch.strided:
        raise TypeError(f"tensor must have the strided layout, got {tensor.layout}")
    if tensor.is_nested:
        raise TypeError("tensor must not be nested; initialize its components")
    functional = torch._is_functional_tensor(tensor)
    if functional or torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        raise TypeError(
            "tensor is wrapped by a function transform (torch.func), which hides its memory;"
            " initialize it outside of the transform"
        )
    kind = type(tensor)
    if kind not in PLAIN_TYPES and not _is_plain_subclass(kind):
        raise TypeError(
            f"tensor is a {kind.__name__}, whose __torch_dispatch__ hides its memory; initialize"
            " the tensors that it wraps"
        )


def dense_keys(device: str) -> int:
    """What torch's dispatcher knows of a dense tensor on CPU or CUDA."""
    keys, kinds = torch._C.DispatchKeySet, torch._C.DispatchKey
    found = keys(kinds.ADInplaceOrView)
    for name in ("", "Autograd", "Autocast"):
        found = found | keys(getattr(kinds, name + device))
    return found.raw_repr()


DENSE = frozenset(map(dense_keys, ("CPU", "CUDA")))
PRE_DISPATCH = torch._C.DispatchKey.PreDispatch


def is_whole(
    tensor: Tensor, global_shape: Shape | None = None, global_offset: Shape | int | None = None
) -> bool:
    """Whether the tensor is all of a global tensor, dense, on CPU or CUDA, and written unseen.

    Wrappers of function transforms, subclasses with ``__torch_dispatch__``, other layouts,
    negative views and inference tensors have other dispatch keys than dense ones.  A dispatch
    mode, and a tracer (``torch.jit``, ``torch.export``, ``make_fx``), would miss a kernel's write.
    """
    return (
        global_shape is None
        and global_offset is None
        and _dispatch_keys(tensor).raw_repr() in DENSE
        and not _len_torch_dispatch_stack()
        and not _is_tracing()
        and not _dispatch_tls_is_dispatch_key_included(PRE_DISPATCH)
    )


def _is_plain_subclass(kind: type[Tensor]) -> bool:
    return kind.__torch_dispatch__ is torch._C._disabled_torch_dispatch_impl


def check_inference(tensor: Tensor) -> None:
    """Raise where an inference tensor is written outside of inference mode, before it is."""
    if tensor.is_inference() and not torch.is_inference_mode_enabled():
        raise RuntimeError(INFERENCE)


def check_writable(tensor: Tensor) -> None:
    """Raise where the tensor's memory cannot be written, or not element by element.

    Raises:
        TypeError: see ``check_strided``.
        RuntimeError: memory that overlaps itself (an expanded tensor), an inference tensor
            outside of inference mode, both as torch's in-place operations; or memory that was
            freed (``untyped_storage().resize_``).
    """
    check_strided(tensor)
    if tensor.is_quantized:
        raise TypeError(f"tensor must not be quantized, got dtype {tensor.dtype}")
    check_inference(tensor)
    if overlaps_itself(tensor):
        raise RuntimeError(OVERLAP)
    held, needed = tensor.untyped_storage().nbytes(), bytes_needed(tensor)
    if held < needed:
        raise RuntimeError(
            f"tensor of shape {tuple(tensor.shape)} needs {needed} bytes of storage, which"
            f" holds {held}: its memory was freed or never allocated"
        )


def overlaps_itself(tensor: Tensor) -> bool:
    """Whether some of the tensor's elements are known to share memory."""
    return torch._debug_has_internal_overlap(tensor) == 1


def bytes_needed(tensor: Tensor) -> int:
    """How far into its storage the tensor reaches; 0 where it has no elements."""
    extent = tensor.numel()
    if not extent:
        return 0
    if not tensor.is_contiguous():
        lasts = zip(tensor.shape, tensor.stride(), strict=True)
        extent = 1 + sum((size - 1) * stride for size, stride in lasts)
    return int(tensor.storage_offset() + extent) * tensor.itemsize


def as_shape(name: str, value: Iterable[int]) -> Shape:
    """``value`` as a tuple of ints.

    Raises:
        TypeError: it is not an iterable of integers.
        ValueError: an element is negative.
    """
    try:
        shape = tuple(index(size) for size in value)
    except TypeError:
        raise TypeError(f"{name} must be a tuple of ints, got {value!r}") from None
    if any(size < 0 for size in shape):
        raise ValueError(f"{name} must not have negative elements, got {shape}")
    return shape


def place(
    tensor: Tensor, global_shape: Shape | None, global_offset: Shape | int | None
) -> Placement:
    """What of which global tensor a plain tensor holds.

    Args:
        tensor: the local tensor, with any strides.
        global_shape: the global tensor's shape; None means that the tensor is its own.
        global_offset: a tuple, where the tensor's first element lies in the global tensor; or
            an int, the row-major index at which a one-dimensional tensor's run begins.

    Raises:
        TypeError: ``global_shape`` or ``global_offset`` does not hold integers.
        ValueError: only one of the two is given, the part leaves the global shape, the global
            shape has more than 2**62 elements, or a flat run is asked for of a tensor that is
            not one-dimensional.
    """
    sizes, strides = tuple(tensor.shape), tuple(tensor.stride())
    if global_shape is None:
        if global_offset is not None:
            raise ValueError(f"global_offset={global_offset} needs global_shape as well")
        return Placement(Region.whole(sizes, strides), sizes)
    shape = as_shape("global_shape", global_shape)
    if global_offset is None:
        raise ValueError(f"global_shape={shape} needs global_offset as well")
    numel = math.prod(shape)
    if numel > MAX_NUMEL:
        raise ValueError(f"global_shape={shape} has {numel} elements, more than 2**62")
    if isinstance(global_offset, Iterable):
        offset = as_shape("global_offset", global_offset)
        return Placement(Region(shape, offset, sizes, strides), shape)
    try:
        start = index(global_offset)
    except TypeError:
        raise TypeError(
            f"global_offset must be an int or a tuple of ints, got {global_offset!r}"
        ) from None
    if tensor.dim() != 1:
        raise ValueError(
            f"an int global_offset describes a flat run of a one-dimensional tensor, got"
            f" global_offset={start} for a tensor of shape {sizes}"
        )
    if start < 0 or start + sizes[0] > numel:
        raise ValueError(
            f"the flat run [{start}, {start + sizes[0]}) at global_offset={start} leaves"
            f" global_shape={shape}, which has {numel} elements"
        )
    return Placement(Region.flat_run(numel, start, sizes[0], strides[0]), shape)


def storage_view(tensor: Tensor, region: Region) -> Tensor:
    """The flat stretch of storage from the tensor's first element over the region's extent."""
    return tensor.detach().as_strided((region.extent,), (1,))
