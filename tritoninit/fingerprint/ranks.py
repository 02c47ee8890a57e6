"""Ranks add their parts, and check that replicas are equal, in one exchange.

Everything is linear.  Beside its share of the number a rank sends its balance: for every tensor
the digest of what it holds, less, from the first of the ranks that hold the same, as often the
digest of what those should hold in all; and the same of a hash of the tensor's name, dtype, shape
and placements, which all ranks hold.  Where replicas are equal the balances add up to zero.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from tritoninit.digest import Digest, header
from tritoninit.dtensor import Part, coordinate_of, is_dtensor, meshes_of, parts_of, sharding_of
from tritoninit.fingerprint.local import digests
from tritoninit.layout import place
from tritoninit.ranks.collective import exchange, exchange_texts, members

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

SHOWN = 5  # tensors that an error describes


class ReplicaError(RuntimeError):
    """Ranks that should hold the same tensors, or the same elements of one, do not."""


class Share(NamedTuple):
    """What a rank has of a tensor.

    ``held`` and ``part`` say what it holds, ``own`` is the digest of that, ``counted`` what the
    rank adds to the tensor's number, ``balance`` what adds up to zero over the ranks.
    """

    name: str
    held: str
    part: str
    own: Digest
    counted: Digest
    balance: Digest


class _Held(NamedTuple):
    parts: list[Part]
    held: str
    copies: int  # ranks that hold each element
    primary: bool  # whether this rank's elements are the ones that count


def shares_of(tensors: dict[str, Tensor], meshes: list[DeviceMesh]) -> list[Share]:
    """This rank's shares, in the order of the names.

    Raises:
        ValueError, TypeError: a DTensor whose placements have no values of their own, or whose
            mesh this rank is not in.
    """
    ranks = members(meshes)
    leader = _own_rank(meshes) == min(ranks)
    held = {name: _held(name, tensors[name], ranks, leader) for name in sorted(tensors)}
    headers = {
        name: header(name, _dtype(tensors[name]), tuple(tensors[name].shape)) for name in held
    }
    owns = digests([(headers[name].key, held[name].parts) for name in held])
    shares = []
    for (name, (parts, text, copies, primary)), own in zip(held.items(), owns, strict=True):
        boxes = [(p.placement.region.offset, p.placement.region.sizes) for p in parts]
        present = blake2b(json.dumps([name, text]).encode(), digest_size=16).digest()
        balance = own * (1 - copies * primary)
        balance += Digest.from_bytes(present) * (1 - len(ranks) * leader)
        counted = own * primary + headers[name].share * leader
        shares.append(Share(name, text, str(boxes), own, counted, balance))
    return shares


def agreed(entries: Iterable[object], shares: list[Share], problem: Exception | None) -> Digest:
    """The sum of all ranks' shares; one exchange, and none where no entry is a DTensor.

    ``problem`` is why this rank has no shares; it takes part nevertheless, so that no rank waits
    for it.

    Raises:
        ReplicaError: the ranks do not hold the same; on every rank.
        RuntimeError: another rank has a problem, or the process group is a fake one.
    """
    meshes = meshes_of(entries)
    counted = sum((share.counted for share in shares), Digest())
    balance = sum((share.balance for share in shares), Digest())
    status = bytes([problem is not None])
    known = exchange(status + counted.to_bytes() + balance.to_bytes(), meshes)
    if any(payload[0] for payload in known.values()):
        raise_failure(exchange_texts(describe(problem), meshes), problem)
    if set(known) != members(meshes):
        raise RuntimeError(
            f"ranks {sorted(members(meshes))} hold the tensors, but only {sorted(known)} answer:"
            " a fake process group, or meshes that are not dimensions of one mesh"
        )
    if sum((Digest.from_bytes(known[rank][17:]) for rank in known), Digest()) != Digest():
        texts = exchange_texts(json.dumps([[*s[:3], str(s.own)] for s in shares]), meshes)
        raise ReplicaError(_report({rank: json.loads(text) for rank, text in texts.items()}))
    return sum((Digest.from_bytes(known[rank][1:17]) for rank in known), Digest())


def each_total(entries: Iterable[object], shares: list[Share]) -> dict[str, Digest]:
    """The sum of all ranks' shares of every tensor, once the ranks are :func:`agreed`."""
    payload = b"".join(share.counted.to_bytes() for share in shares)
    known = exchange(payload, meshes_of(entries)).values()
    return {
        share.name: sum((Digest.from_bytes(data[16 * i : 16 * i + 16]) for data in known), Digest())
        for i, share in enumerate(shares)
    }


def describe(problem: Exception | None) -> str:
    """The problem as other ranks are told of it."""
    return "" if problem is None else f"{type(problem).__name__}: {problem}"


def raise_failure(texts: dict[int, str], problem: Exception | None) -> None:
    """Raise this rank's own problem, or the others' where it has none."""
    if problem is not None:
        raise problem
    failed = [f"rank {rank}: {text}" for rank, text in sorted(texts.items()) if text]
    raise RuntimeError(f"no fingerprint, because {'; '.join(failed)}")


def _own_rank(meshes: list[DeviceMesh]) -> int:
    return meshes[0].get_rank() if meshes else 0


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _held(name: str, tensor: Tensor, ranks: set[int], leader: bool) -> _Held:
    label = f"{_dtype(tensor)} {list(tensor.shape)}"
    if not is_dtensor(tensor):
        whole = Part(tensor, place(tensor, None, None))
        return _Held([whole], label, len(ranks), leader)
    mesh, coordinate = tensor.device_mesh, coordinate_of(tensor)
    if coordinate is None or len(ranks) % mesh.size():
        raise ValueError(
            f"{name or 'the DTensor'} lies on {mesh}, which cannot be repeated over the ranks"
            f" {sorted(ranks)} of the fingerprint"
        )
    try:
        sharding, parts = sharding_of(tensor), parts_of(tensor)
    except (TypeError, ValueError) as reason:
        raise type(reason)(f"{name or 'the DTensor'}: {reason}") from None
    copies = sharding.replicas * (len(ranks) // mesh.size())
    primary = sharding.is_primary(coordinate) and min(ranks) in mesh.mesh
    return _Held(parts, f"{label} {sharding!r}", copies, primary)


def _report(tables: dict[int, list[list[str]]]) -> str:
    """Which tensors differ on which ranks."""
    rows: dict[str, dict[int, tuple[str, str, str]]] = defaultdict(dict)
    for rank, table in tables.items():
        for name, held, part, own in table:
            rows[name][rank] = held, part, own
    lines = []
    for name, row in sorted(rows.items()):
        missing = sorted(set(tables) - set(row))
        if missing:
            lines.append(f"{name or 'the tensor'} is missing on ranks {missing}")
        kinds = _grouped({rank: held for rank, (held, _, _) in row.items()})
        if len(kinds) > 1:
            texts = [f"{held} on ranks {ranks}" for held, ranks in kinds]
            lines.append(f"{name or 'the tensor'} is {', but '.join(texts)}")
            continue
        for part in sorted({part for _, part, _ in row.values()}):
            values = _grouped({rank: own for rank, (_, p, own) in row.items() if p == part})
            for _, ranks in values[1:]:
                lines.append(
                    f"{name or 'the tensor'} has other values on ranks {ranks} than on ranks"
                    f" {values[0][1]}"
                )
    more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return "the ranks do not hold the same model: " + "; ".join(lines[:SHOWN] + more)


def _grouped(values: dict[int, str]) -> list[tuple[str, list[int]]]:
    """(value, the ranks that have it), the most ranks first."""
    groups: dict[str, list[int]] = defaultdict(list)
    for rank in sorted(values):
        groups[values[rank]].append(rank)
    return sorted(groups.items(), key=lambda group: (-len(group[1]), group[1]))
