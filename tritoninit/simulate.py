"""What any rank of any mesh would hold, filled on one machine without a process group."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tritoninit.dtensor import is_dtensor, parts_at, split_of
from tritoninit.materialize import record_plan
from tritoninit.plan import Fill
from tritoninit.schedule import Held, write_all
from tritoninit.sharding import Sharding
from tritoninit.stream import Key

if TYPE_CHECKING:
    from torch.distributed.tensor.placement_types import Placement

    from tritoninit.recording import InitFn

    Placements = Callable[[str, Tensor], Sequence[Placement] | None]


def simulate(
    model: nn.Module,
    coordinate: Mapping[str, int],
    *,
    mesh: Mapping[str, int] | None = None,
    placements: Placements | None = None,
    seed: int | Key = 0,
    init_fn: InitFn | None = None,
    device: str | torch.device = "cpu",
    names: Collection[str] | None = None,
) -> dict[str, Tensor]:
    """The local tensors that :func:`tritoninit.materialize` gives the rank at ``coordinate``.

    Nothing is sent, the model stays as it is, and memory is taken for this rank's tensors
    alone, so that a laptop can check a job of thousands of ranks::

        with torch.device("meta"):
            model = build()
        local = tritoninit.simulate(
            model,
            {"dp": 311, "tp": 5},
            mesh={"dp": 512, "tp": 8},
            placements=lambda name, tensor: [Shard(0), Shard(1) if "wo" in name else Replicate()],
        )

    Args:
        model: the model on meta, unsharded, or sharded already (FSDP2, tensor parallel; a fake
            process group will do).  Tensors that are not on meta are left out.
        coordinate: the rank's index along every mesh dimension, by the dimension's name.
        mesh: the sizes of the mesh's dimensions by name, in order, for an unsharded model;
            None means that the model's own DTensors say how they lie.
        placements: called with the name and the meta tensor of every parameter and buffer;
            gives one placement of ``torch.distributed.tensor`` (``Shard``, ``Replicate``,
            ``_StridedShard``) for every dimension of ``mesh``, or None for a plain tensor, which
            every rank holds.  A ``_StridedShard`` is read as FSDP2 shards.
        seed: see :func:`tritoninit.plan`.
        init_fn: see :func:`tritoninit.plan`.
        device: where to allocate, whatever the devices of the mesh.
        names: the tensors to fill; None means all of them.

    Returns:
        The local tensors by name, contiguous; names that are tied share one.  A rank that holds
        nothing of a tensor has an empty one.

    Raises:
        ValueError: a coordinate is missing, unknown or outside of its mesh dimension; only one of
            ``mesh`` and ``placements`` is given, or both for a model that holds DTensors; the
            placements are not one for every mesh dimension, name a dimension that the tensor
            does not have, or are a pending Partial; a name is unknown; device is meta.
        TypeError: a placement of another kind; coordinate or mesh is no mapping of names to ints;
            names is a string.
        tritoninit.recording.RecordError: a tensor on meta has no recipe.
    """
    place = torch.device(device)
    if place.type == "meta":
        raise ValueError("device must be a device with memory, got meta")
    if (mesh is None) != (placements is None):
        missing = "mesh" if mesh is None else "placements"
        raise ValueError(f"mesh and placements must be given together, {missing} is None")
    for label, value in (("coordinate", coordinate), ("mesh", mesh or {})):
        _check_integers(label, value)
    if isinstance(names, str):
        raise TypeError(f"names must be a collection of names, got the string {names!r}")
    recording, made = record_plan(model, seed, init_fn)
    fills = [fill for fill in made.fills if _is_wanted(fill, names)]
    _check_names(names, made.fills)
    targets = {target.name: target.tensor for target in recording.targets}
    if mesh is None or placements is None:
        lying = {fill.name: _own(fill, targets[fill.name]) for fill in made.fills}
    else:
        lying = {name: _given(name, tensor, mesh, placements) for name, tensor in targets.items()}
    sizes = {name: size for sharding in lying.values() for name, size in _dimensions(sharding)}
    _check_coordinate(coordinate, sizes | dict(mesh or {}))
    made_tensors: dict[str, Tensor] = {}
    held: list[tuple[Fill, Held]] = []
    for fill in fills:
        local, what = _allocated(fill, lying[fill.name], coordinate, place)
        held.append((fill, what))
        made_tensors.update(dict.fromkeys((fill.name, *fill.aliases), local))
    write_all(held, recording.sources, lambda _: None)
    return made_tensors


def _allocated(
    fill: Fill, sharding: Sharding | None, coordinate: Mapping[str, int], device: torch.device
) -> tuple[Tensor, Held]:
    """Memory for one tensor of the rank, and what it holds."""
    dtype = getattr(torch, fill.dtype)
    if sharding is None:
        whole = torch.empty_strided(fill.shape, fill.strides, dtype=dtype, device=device)
        return whole, whole
    at = tuple(coordinate[name] for name in sharding.names)
    local = torch.empty(sharding.local_shape(fill.shape, at), dtype=dtype, device=device)
    return local, parts_at(local, sharding, fill.shape, at)


def _own(fill: Fill, tensor: Tensor) -> Sharding | None:
    """How the model's own DTensor lies; None of a plain tensor."""
    sharding = fill.sharding
    if sharding is None or not is_dtensor(tensor):
        return None
    if not sharding.names:
        raise ValueError(
            f"{fill.name} lies on a mesh of shape {sharding.mesh} whose dimensions have no names;"
            " give init_device_mesh mesh_dim_names"
        )
    return sharding


def _given(
    name: str, tensor: Tensor, mesh: Mapping[str, int], placements: Placements
) -> Sharding | None:
    """How the caller says that a tensor lies."""
    if is_dtensor(tensor):
        raise ValueError(
            f"mesh and placements describe an unsharded model, but {name} is a DTensor already"
        )
    given = placements(name, tensor)
    if given is None:
        return None
    try:
        splits = tuple(split_of(placement, tensor.dim()) for placement in given)
        sharding = Sharding(tuple(mesh.values()), splits, names=tuple(mesh))
        sharding.ranges(tuple(tensor.shape), (0,) * len(mesh))
    except (TypeError, ValueError) as error:
        raise type(error)(f"placements of {name}: {error}") from None
    return sharding


def _dimensions(sharding: Sharding | None) -> Iterable[tuple[str, int]]:
    return zip(sharding.names, sharding.mesh, strict=True) if sharding else ()


def _check_integers(label: str, value: object) -> None:
    if not isinstance(value, Mapping) or not all(
        isinstance(name, str) and hasattr(number, "__index__") for name, number in value.items()
    ):
        raise TypeError(f"{label} must be a mapping of mesh dimensions' names to ints, got {value}")


def _check_coordinate(coordinate: Mapping[str, int], mesh: Mapping[str, int]) -> None:
    if set(coordinate) != set(mesh):
        raise ValueError(
            f"coordinate must have an index for each of the mesh dimensions {sorted(mesh)}, got"
            f" {dict(coordinate)}"
        )
    for name, size in mesh.items():
        if not 0 <= coordinate[name] < size:
            raise ValueError(
                f"coordinate must lie in [0, {size}) along {name!r}, got {coordinate[name]}"
            )


def _is_wanted(fill: Fill, names: Collection[str] | None) -> bool:
    return names is None or any(name in names for name in (fill.name, *fill.aliases))


def _check_names(names: Collection[str] | None, fills: Iterable[Fill]) -> None:
    known = {name for fill in fills for name in (fill.name, *fill.aliases)}
    unknown = sorted(set(names or ()) - known)
    if unknown:
        raise ValueError(f"names must be of tensors on meta, got {', '.join(unknown)}")
