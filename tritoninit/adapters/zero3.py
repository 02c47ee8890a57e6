"""DeepSpeed ZeRO-3: parameters that are partitioned into flat runs.

Read from DeepSpeed 0.19.8 (``runtime/zero/partition_parameters.py``): a partitioned parameter
has ``ds_tensor``, a flat tensor of ``ds_tensor.ds_numel`` elements, the piece numbered
``ds_zero_partition_rank`` of the row-major tensor of shape ``ds_shape``, the last ones padded;
``ds_status`` and ``ds_tensor.status`` say whether it is gathered and whether the piece is in
memory.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tritoninit.dtensor import Part
from tritoninit.layout import Placement
from tritoninit.materialize import record_plan
from tritoninit.plan import Fill, Plan
from tritoninit.ranks.agreement import together
from tritoninit.region import Region, boxes_of_run, row_major
from tritoninit.schedule import Held, write_all
from tritoninit.stream import Key

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

    from tritoninit.recording import InitFn


def initialize(model: nn.Module, seed: int | Key = 0, init_fn: InitFn | None = None) -> Plan:
    """Fill the partitions of a model that was built under ``deepspeed.zero.Init``.

    Init code that runs on partitioned parameters sees empty tensors and has no effect; here it
    runs on full-shape shadows, and each rank writes the run of elements that it holds: the
    values of :func:`tritoninit.materialize` of the unpartitioned model, bit for bit, in the dtype
    of the partition.  Nothing is gathered.  Every rank must call; they exchange a digest of the
    plan before anything is written and a confirmation after, so that all of them succeed or all
    of them raise.  Call before ``deepspeed.initialize``, which copies the values into the
    optimizer's own precision.  Padding becomes zero.  Buffers, and parameters that are not
    partitioned, keep their values.

    Args:
        model: the model itself, not an engine; every parameter with a ``ds_tensor`` is filled.
        seed: see :func:`tritoninit.plan`.
        init_fn: see :func:`tritoninit.plan`.

    Returns:
        The plan that was carried out, of the whole tensors.

    Raises:
        tritoninit.recording.RecordError: a partitioned parameter has no recipe.
        tritoninit.RankError: another rank failed, or would write other values.
        ValueError: no parameter is partitioned; one is gathered, swapped out, quantised, copied
            by an optimizer, has a secondary partition (hpZ) or a partition of another size; or a
            tensor is on meta.  Nothing has been written then.
        TypeError: model is not a module or an engine, or seed neither an int nor a Key.
    """
    _check_model(model)
    partitioned: dict[int, tuple[str, Any]] = {
        id(p): (name, p) for name, p in model.named_parameters() if _is_partitioned(p)
    }
    if not partitioned:
        raise ValueError("no parameter of the model is partitioned by DeepSpeed ZeRO-3")
    meshes = _meshes(parameter for _, parameter in partitioned.values())
    stand_ins = {key: _stand_in(parameter) for key, (_, parameter) in partitioned.items()}
    originals = {id(stand_ins[key]): parameter for key, (_, parameter) in partitioned.items()}
    with together(meshes, "planning") as agreed:
        for name, parameter in partitioned.values():
            _check(name, parameter)
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            if tensor.is_meta:
                raise ValueError(f"{name} is on meta; materialize it before it is partitioned")
        with _in_place(model, stand_ins):
            recording, made = record_plan(model, seed, init_fn)
        agreed.append(made)
    with together(meshes, "filling"):
        held: list[tuple[Fill, Held]] = []
        for entry, target in zip(made.fills, recording.targets, strict=True):
            parameter = originals[id(target.tensor)]
            flat = parameter.ds_tensor.detach()
            start = _rank(parameter) * flat.numel()
            length = max(0, min(flat.numel(), entry.numel - start))
            held.append((entry, list(_parts(flat, entry.shape, start, length))))
            flat[length:].zero_()
            torch.autograd.graph.increment_version(parameter.ds_tensor)
        write_all(held, recording.sources, lambda _: None)
    for target in recording.targets:
        parameter, shadow = originals[id(target.tensor)], target.shadow
        assert shadow is not None
        vars(parameter).update(vars(shadow))
        parameter.requires_grad_(shadow.requires_grad)
    for module, attributes in recording.attributes:
        vars(module).update(attributes)
    return made


def _parts(flat: Tensor, shape: tuple[int, ...], start: int, length: int) -> Iterator[Part]:
    """The run [start, start + length) of a tensor of this shape as boxes of the flat memory."""
    for at, offset, sizes in boxes_of_run(shape, start, length):
        strides = row_major(sizes)
        view = flat.as_strided(sizes, strides, flat.storage_offset() + at)
        yield Part(view, Placement(Region(shape, offset, sizes, strides), shape))


def _is_partitioned(parameter: Tensor) -> bool:
    return getattr(parameter, "ds_tensor", None) is not None


def _check_model(model: object) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    deepspeed = sys.modules.get("deepspeed")
    if deepspeed is not None and isinstance(model, deepspeed.DeepSpeedEngine):
        raise TypeError(
            f"model must be the module itself, whose names decide the values, got a"
            f" {type(model).__name__}; pass its .module"
        )


def _meshes(parameters: Iterable[Any]) -> list[DeviceMesh]:
    """The groups over which the parameters are partitioned, each once."""
    groups = {id(group): (group, p.device.type) for p in parameters if (group := _group(p))}
    if not groups:
        return []
    from torch.distributed.device_mesh import DeviceMesh

    return [DeviceMesh.from_group(group, kind) for group, kind in groups.values()]


def _group(parameter: Any) -> Any:
    return getattr(parameter, "ds_process_group", None)


def _rank(parameter: Any) -> int:
    """Which piece this rank holds; earlier DeepSpeeds keep the group alone."""
    rank = getattr(parameter, "ds_zero_partition_rank", None)
    return torch.distributed.get_rank(_group(parameter)) if rank is None else int(rank)


def _ranks(parameter: Any) -> int:
    ranks = getattr(parameter, "ds_zero_partition_world_size", None)
    return torch.distributed.get_world_size(_group(parameter)) if ranks is None else int(ranks)


def _check(name: str, parameter: Any) -> None:
    piece = parameter.ds_tensor
    if hasattr(parameter, "_z3_optimizer"):
        raise ValueError(
            f"{name} has its own copy in the optimizer, which would keep old values; initialize"
            " it before deepspeed.initialize"
        )
    if parameter.ds_status.name != "NOT_AVAILABLE":
        raise ValueError(
            f"{name} is gathered (ds_status {parameter.ds_status.name}); initialize it while it is"
            " partitioned"
        )
    if piece.status.name != "AVAILABLE":
        raise ValueError(
            f"the partition of {name} is not in memory (ds_tensor.status {piece.status.name});"
            " initialize it before it is swapped out"
        )
    if getattr(parameter, "ds_secondary_tensor", None) is not None:
        raise ValueError(f"{name} has a secondary partition (hpZ), which would keep old values")
    if hasattr(piece, "ds_quant_scale"):
        raise ValueError(f"the partition of {name} is quantised; initialize it before it is")
    size = -(-parameter.ds_numel // _ranks(parameter))
    if piece.numel() != size:
        raise ValueError(
            f"the partition of {name} has {piece.numel()} elements, where a run of"
            f" {size} is expected of {parameter.ds_numel} on {_ranks(parameter)} ranks"
        )


def _stand_in(parameter: Any) -> nn.Parameter:
    shape, dtype = tuple(parameter.ds_shape), parameter.ds_tensor.dtype
    data = torch.empty(shape, dtype=dtype, device="meta")
    stand_in = nn.Parameter(data, requires_grad=parameter.requires_grad)
    stand_in.__class__ = type(parameter)
    # Init code may ask for the model's own attributes; DeepSpeed's would have it gather.
    own = {k: v for k, v in vars(parameter).items() if not _is_deepspeeds(k, v)}
    vars(stand_in).update(own)
    return stand_in


def _is_deepspeeds(key: str, value: object) -> bool:
    module = getattr(value, "__module__", None) or ""
    return key.startswith("ds_") or module.partition(".")[0] == "deepspeed"


@contextmanager
def _in_place(model: nn.Module, stand_ins: dict[int, nn.Parameter]) -> Iterator[None]:
    """Parameters on meta in the place of partitioned ones, ties kept."""
    held = [(m, k, p) for m in model.modules() for k, p in m._parameters.items() if p is not None]
    taken = [(module, key, p) for module, key, p in held if id(p) in stand_ins]
    try:
        for module, key, parameter in taken:
            module._parameters[key] = stand_ins[id(parameter)]
        yield
    finally:
        for module, key, parameter in taken:
            module._parameters[key] = parameter
