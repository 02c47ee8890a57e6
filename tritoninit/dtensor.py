"""From DTensors to the boxes of the global tensor that this rank holds.

The only reader of DTensor's internals.  ``torch.distributed.tensor`` is never imported for
tensors that are none.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from copy import copy
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

from torch import Tensor, nn

from tritoninit.layout import PLAIN_TYPES, Placement
from tritoninit.region import Region, Shape
from tritoninit.sharding import Sharding, Split

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.tensor import DTensor
    from torch.distributed.tensor.placement_types import Placement as MeshPlacement


class Part(NamedTuple):
    """A plain tensor, and the box of a global tensor that it holds."""

    tensor: Tensor
    placement: Placement


def is_dtensor(tensor: object) -> TypeGuard[DTensor]:
    """Whether the tensor is a DTensor."""
    if type(tensor) in PLAIN_TYPES:
        return False  # nearly every tensor; isinstance() takes four times as long
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def local_of(tensor: DTensor) -> Tensor:
    """The rank's own part, sharing its memory (``to_local`` would make an autograd view)."""
    local: Tensor = tensor._local_tensor
    if hasattr(local, "wait"):  # an AsyncCollectiveTensor: a collective is still writing it
        local = local.wait()
    return local


def sharding_of(tensor: DTensor) -> Sharding:
    """How the DTensor lies on its mesh.

    Raises:
        ValueError: a placement is a pending Partial, whose sum nobody has taken yet.
        TypeError: a placement of another kind.
    """
    placements = tuple(split_of(p, tensor.dim()) for p in tensor.placements)
    mesh = tuple(int(size) for size in tensor.device_mesh.shape)
    names = tuple(tensor.device_mesh.mesh_dim_names or ())
    return Sharding(mesh, placements, _explicit_order(tensor, len(mesh)), names=names)


def coordinate_of(tensor: DTensor) -> Shape | None:
    """This rank's coordinate in the mesh; None where it is not part of the mesh."""
    coordinate = tensor.device_mesh.get_coordinate()
    return None if coordinate is None else tuple(coordinate)


def parts_of(tensor: DTensor) -> list[Part]:
    """The boxes that this rank holds, each with the view of its local memory; none if empty.

    Raises:
        ValueError: a pending Partial, or a local tensor that is not of the size that the
            placements give.
        RuntimeError: a view that torch made by moving elements between ranks, so that what is
            written into it never reaches the tensor that it is a view of.
        TypeError: a placement that is not Shard, _StridedShard, Replicate or Partial.
    """
    sharding = sharding_of(tensor)
    coordinate = coordinate_of(tensor)
    if coordinate is None:
        return []
    shape, local = tuple(tensor.shape), local_of(tensor)
    _check_view(tensor, local)
    _check_size(local, sharding, shape, coordinate)
    return parts_at(local, sharding, shape, coordinate)


def _check_size(local: Tensor, sharding: Sharding, shape: Shape, coordinate: Shape) -> None:
    held = tuple(local.shape)
    expected = sharding.local_shape(shape, coordinate)
    if expected != held and (local.numel() or 0 not in expected):
        raise ValueError(
            f"the DTensor of shape {shape} with placements {sharding} on a mesh of shape"
            f" {sharding.mesh} holds a part of shape {expected} at mesh coordinate {coordinate},"
            f" but its local tensor has shape {held}"
        )


def parts_at(local: Tensor, sharding: Sharding, shape: Shape, coordinate: Shape) -> list[Part]:
    """The boxes that the rank at a mesh coordinate holds, as views of its local tensor."""
    if not local.numel():  # FSDP2 gives an empty shard a shape of its own
        return []
    parts = []
    for box in sharding.boxes(shape, coordinate):
        view = local.detach()
        for dim, (start, size) in enumerate(zip(box.local, box.sizes, strict=True)):
            view = view.narrow(dim, start, size)
        region = Region(shape, box.offset, box.sizes, tuple(view.stride()))
        parts.append(Part(view, Placement(region, shape)))
    return parts


def meshes_of(values: Iterable[object]) -> list[DeviceMesh]:
    """The meshes of the DTensors among the values, without those that this rank is not in."""
    module = sys.modules.get("torch.distributed.tensor")
    if module is None:
        return []
    kind = module.DTensor
    odd = [value for value in values if type(value) not in PLAIN_TYPES]
    found = [value.device_mesh for value in odd if isinstance(value, kind)]
    return [mesh for mesh in dict.fromkeys(found) if mesh.get_coordinate() is not None]


def meshes_of_model(model: nn.Module) -> list[DeviceMesh]:
    """The meshes of a model's DTensors, those of its parameters first; see :func:`meshes_of`."""
    if "torch.distributed.tensor" not in sys.modules:
        return []
    modules: dict[nn.Module, None] = {}
    left = [model]
    while left:  # as ``modules()``, whose nested generators take three times as long
        module = left.pop()
        if module not in modules:
            modules[module] = None
            if children := module._modules:
                left += [child for child in reversed(children.values()) if child is not None]
    parameters: list[object] = []
    buffers: list[object] = []
    for module in modules:
        held = module.__dict__
        parameters += held["_parameters"].values()
        buffers += held["_buffers"].values()
    return meshes_of(parameters + buffers)


def with_local(tensor: DTensor, local: Tensor) -> DTensor:
    """A DTensor that lies as ``tensor`` does and holds ``local`` on this rank."""
    from torch.distributed.tensor import DTensor

    spec = tensor._spec
    if local.dtype != tensor.dtype:
        assert spec.tensor_meta is not None
        meta = spec.tensor_meta._replace(dtype=local.dtype)
        spec = copy(spec)
        spec.tensor_meta = meta
    return DTensor(local, spec, requires_grad=False)


def _check_view(tensor: DTensor, local: Tensor) -> None:
    """Raise where a write would be lost.

    Slicing a sharded dimension gathers it first: the slice is a view in name alone.
    """
    base = tensor._base
    if base is None or not is_dtensor(base):
        return
    if local.untyped_storage()._cdata != local_of(base).untyped_storage()._cdata:
        raise RuntimeError(
            f"tensor of shape {tuple(tensor.shape)} is a view of a DTensor of shape"
            f" {tuple(base.shape)} with placements {base.placements}, but torch made it by moving"
            " elements between ranks: values written into it would be lost.  Initialize the whole"
            " DTensor, or its local part with global_shape and global_offset"
        )


def split_of(placement: MeshPlacement, dims: int) -> Split | None:
    """One of torch's placements of a tensor of ``dims`` dimensions.

    Raises:
        ValueError: a pending Partial.
        TypeError: not a Shard, _StridedShard, Replicate or Partial.
    """
    name = type(placement).__name__
    if name == "Replicate":
        return None
    if "Partial" in name:
        raise ValueError(
            f"tensor has the placement {placement}: a pending Partial has no values of its own;"
            " redistribute it to Shard or Replicate first"
        )
    if name not in ("Shard", "_StridedShard"):
        raise TypeError(
            f"tensor has the placement {placement}; only Shard, _StridedShard and Replicate can be"
            " initialized"
        )
    dim = int(placement.dim)  # type: ignore[attr-defined]
    factor = int(getattr(placement, "split_factor", 1))
    return Split(dim + dims if dim < 0 else dim, factor)


def _is_strided(tensor: DTensor) -> bool:
    return any(hasattr(p, "split_factor") for p in tensor.placements)


def _explicit_order(tensor: DTensor, count: int) -> Shape | None:
    """The order of the mesh dimensions where the DTensor has one of its own (torch 2.10).

    So has a view whose _StridedShard comes of flattening and stands for no order.
    """
    spec = tensor._spec
    if getattr(spec, "use_strided_shard_as_shard_order", _is_strided(tensor)):
        return None
    given = [list(entry.mesh_dims) for entry in getattr(spec, "shard_order", None) or ()]
    if all(dims == sorted(dims) for dims in given) and not _is_strided(tensor):
        return None
    order = [mesh_dim for dims in given for mesh_dim in dims]
    return (*order, *(m for m in range(count) if m not in order))
