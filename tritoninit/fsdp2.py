"""What FSDP2 (``fully_shard``) keeps beside a model's parameters.

It swaps the classes of modules, says whether parameters live on the CPU, and holds each local
shard once more, padded to an even size.  The only reader of FSDP2's internals.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from tritoninit.dtensor import local_of

if TYPE_CHECKING:
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor


def plain_class(cls: type[nn.Module]) -> type[nn.Module]:
    """The class that a module had before ``fully_shard`` or ``replicate`` swapped it.

    Init code may tell modules apart by their exact class, as transformers' does.
    """
    fsdp = sys.modules.get("torch.distributed.fsdp")
    while fsdp is not None and issubclass(cls, fsdp.FSDPModule) and len(cls.__bases__) > 1:
        cls = cls.__bases__[-1]
    return cls


def units(modules: Iterable[nn.Module]) -> list[FSDPModule]:
    """Those of the modules whose parameters FSDP2 shards."""
    fsdp = sys.modules.get("torch.distributed.fsdp")
    if fsdp is None:
        return []
    return [module for module in modules if isinstance(module, fsdp.FSDPModule)]


def offloaded(units: list[FSDPModule]) -> set[int]:
    """The ids of the parameters that a CPUOffloadPolicy keeps on the CPU."""
    return {id(_parameter(p)) for p in _parameters(units) if p.offload_to_cpu}


def padded(units: list[FSDPModule]) -> dict[int, int]:
    """For each parameter of uneven shards, by id, the elements of FSDP2's padded local buffer.

    A shard that is allocated inside such a buffer need not be copied into one.  (Pinned memory
    is FSDP2's own affair.)
    """
    return {
        id(_parameter(p)): p.padded_sharded_param_size.numel()
        for p in _parameters(units)
        if not p.pin_memory and p.padded_sharded_param_size != p.sharded_size
    }


def adopt_parameters(units: list[FSDPModule]) -> None:
    """Have FSDP2 take over local shards that were replaced, as ``nn.Module._apply`` has it."""
    for parameter in _parameters(units):
        local = local_of(_parameter(parameter))
        size = parameter.padded_sharded_param_size.numel()
        if not (local.is_meta or parameter.pin_memory) and _holds(local, size):
            parameter._sharded_param_data = local.detach().as_strided((size,), (1,), 0)
        parameter.reset_sharded_param()


def _holds(local: Tensor, size: int) -> bool:
    return local.untyped_storage().nbytes() == size * local.itemsize


def _parameter(parameter: Any) -> DTensor:
    info = parameter._module_info
    held: DTensor = getattr(info.module, info.param_name)
    return held


def _parameters(units: list[FSDPModule]) -> Iterator[Any]:
    for unit in units:
        state = unit._get_fsdp_state()
        groups = getattr(state, "_fsdp_param_groups", None)
        if groups is None:  # until torch 2.12 a module has one group at most
            groups = filter(None, [state._fsdp_param_group])
        for group in groups:
            yield from group.fsdp_params
