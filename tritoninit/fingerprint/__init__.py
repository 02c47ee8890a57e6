"""128 bits over every element of a model: equal for equal weights, under any sharding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from tritoninit.digest import Digest
from tritoninit.dtensor import meshes_of
from tritoninit.fingerprint.entries import entries_of, tensors_of
from tritoninit.fingerprint.ranks import (
    ReplicaError,
    Share,
    agreed,
    each_total,
    shares_of,
)
from tritoninit.ranks.collective import device_of, gather

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

__all__ = ["ReplicaError", "fingerprint", "fingerprints"]


def fingerprint(
    model: Tensor | Mapping[str, Tensor] | nn.Module, *, group: ProcessGroup | None = None
) -> str:
    """128 bits over the name, dtype, shape and bits of every element, as 32 hex digits.

    The number is a sum over elements (``STREAM.md`` section 7), so it does not depend on the
    order of the tensors, their strides and devices, or the sharding: a model of DTensors has, on
    every rank, the number of the unsharded model.  A changed element always changes it;
    otherwise two models have the same number with a probability of 2**-128.  It finds errors; it
    does not withstand someone who constructs a collision.  Bits are compared: 0.0 and -0.0
    differ, and so do NaNs with different payloads.

    Ranks that share a model call it together.  Their replicas (of DTensors, and of the plain
    tensors beside them) are checked against one another.  One short message a rank is
    exchanged, and none where there is no DTensor.

    Args:
        model: a tensor; a mapping of names to tensors; or a module, which counts as its
            ``state_dict()``: parameters and persistent buffers (pass a dict to count others).
            Tensors that share memory and geometry count once, under the first name.  The
            prefixes of FSDP1, activation checkpointing and torch.compile are left out of names.
        group: a process group whose ranks hold different tensors of one model (the stages of a
            pipeline): their numbers are added.

    Raises:
        ReplicaError: replicas differ, or ranks hold different tensors; on every rank, and the
            message names the tensors and ranks.
        TypeError: an entry that is not a tensor, or a tensor whose values are not in strided
            memory (sparse, nested, quantized, or wrapping others).
        ValueError: a tensor on meta, a lazy parameter, freed memory, a pending Partial, or two
            tensors of one name.
        RuntimeError: another rank has one of these errors.
    """
    problem: Exception | None = None
    total = Digest()
    try:
        total = _agreed(model)[0]
    except Exception as reason:  # whatever it is: the other ranks of the group wait for this one
        if group is None:
            raise
        problem = reason
    return str(total if group is None else _added(total, problem, group))


def fingerprints(model: Tensor | Mapping[str, Tensor] | nn.Module) -> dict[str, str]:
    """The number of each tensor by name: which tensors differ where two fingerprints do.

    The fingerprint is the sum of these, in two words of 64 bits.  Arguments, checks and errors
    are those of :func:`fingerprint`; ranks exchange a second message, of 16 bytes a tensor.
    """
    _, entries, shares = _agreed(model)
    totals = each_total(entries.values(), shares)
    return {name: str(total) for name, total in totals.items()}


def _agreed(
    model: Tensor | Mapping[str, Tensor] | nn.Module,
) -> tuple[Digest, dict[str, Any], list[Share]]:
    entries = entries_of(model)
    shares: list[Share] = []
    problem: Exception | None = None
    try:
        shares = shares_of(tensors_of(entries), meshes_of(entries.values()))
    except Exception as reason:  # whatever it is: the other ranks wait for this one
        problem = reason
    return agreed(entries.values(), shares, problem), entries, shares


def _added(total: Digest, problem: Exception | None, group: ProcessGroup) -> Digest:
    """The sum over the ranks of the group; raises on all of them where one has a problem."""
    import torch.distributed as dist

    status = bytes([problem is not None])
    known = gather(status + total.to_bytes(), group, device_of(group))
    if problem is not None:
        raise problem
    ranks = dist.get_process_group_ranks(group)
    failed = [rank for rank, data in zip(ranks, known, strict=True) if data[0]]
    if failed:
        raise RuntimeError(f"no fingerprint, because of errors on ranks {failed} of the group")
    return sum((Digest.from_bytes(data[1:]) for data in known), Digest())
