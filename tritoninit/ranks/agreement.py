"""Ranks agree on what they write before anything is written, and on having written it after.

Each of the two takes one exchange (``collective.py``) of a few bytes.  A rank that fails takes
part all the same, so that the others end with an error that names it instead of waiting.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tritoninit.plan import Fill, Left, Plan
from tritoninit.ranks.collective import exchange, exchange_texts

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

DIGEST_BYTES = 16
FAILED = bytes(DIGEST_BYTES)
SHOWN = 5  # tensors in an error


class RankError(RuntimeError):
    """Other ranks failed, or were about to write other values."""


@contextmanager
def together(meshes: list[DeviceMesh], doing: str) -> Iterator[list[Plan]]:
    """Run the body on every rank; afterwards all of them succeed or all raise.

    The body may append one plan to the list that it is given; the ranks' plans are compared.

    Raises:
        RankError: the body failed on other ranks, or the plans differ.  Where it failed on this
            rank, its own exception is raised.
    """
    made: list[Plan] = []
    if not meshes:
        yield made  # there is nobody to agree with
        return
    try:
        yield made
    except Exception as error:
        _compare(exchange(FAILED, meshes), f"{type(error).__name__}: {error}", meshes, doing)
        raise
    found = exchange(_digest(made[0]) if made else b"\1" * DIGEST_BYTES, meshes)
    _compare(found, "", meshes, doing)
    if len(set(found.values())) > 1:
        _explain(made[0], meshes)


def _compare(found: dict[int, bytes], error: str, meshes: list[DeviceMesh], doing: str) -> None:
    """Raise on the ranks that did not fail where others did."""
    failed = sorted(rank for rank, digest in found.items() if digest == FAILED)
    if not failed or len(found) == 1:
        return
    texts = exchange_texts(error, meshes)
    if not error:
        raise RankError(
            f"{_ranks(failed)} failed while {doing}, so the model was left as it is on all ranks;"
            f" rank {failed[0]} says: {texts[failed[0]]}"
        )


def _explain(plan: Plan, meshes: list[DeviceMesh]) -> None:
    """Name the tensors that the ranks plan differently; tensors of one's own are allowed."""
    entries = (*plan.fills, *plan.left)
    mine = {fill.name: _fill_digest(fill).hex() for fill in entries}
    sharded = [fill.name for fill in entries if fill.sharding]
    texts = exchange_texts(json.dumps([mine, sharded]), meshes)
    plans = {rank: json.loads(text) for rank, text in sorted(texts.items())}
    everywhere = {name for _, names in plans.values() for name in names}
    complaints = []
    for name in sorted({name for digests, _ in plans.values() for name in digests}):
        ranks: dict[str | None, list[int]] = {}
        for rank, (digests, _) in plans.items():
            ranks.setdefault(digests.get(name), []).append(rank)
        missing = ranks.pop(None, [])
        if len(ranks) > 1:
            groups = " and ".join(_ranks(group) for group in ranks.values())
            complaints.append(f"  {name}: {groups} differ; here it is {_shown(plan, name)}")
        elif missing and name in everywhere:
            complaints.append(
                f"  {name}, which is sharded, is missing or not on meta on {_ranks(missing)}"
            )
    if complaints:
        more = len(complaints) - SHOWN
        tail = [f"  and {more} more"] if more > 0 else []
        raise RankError(
            "\n".join(
                [
                    "the ranks would not write the same model (seed, shape, dtype, placement,"
                    " recipe or what is skipped); nothing was written:",
                    *complaints[:SHOWN],
                    *tail,
                ]
            )
        )


def _shown(plan: Plan, name: str) -> str:
    for fill in (*plan.fills, *plan.left):
        if fill.name == name:
            keys = ", ".join(str(write.key) for write in fill.writes if write.key)
            where = f" {fill.sharding}" if fill.sharding else ""
            return f"{list(fill.shape)} {fill.dtype}{where} {fill.recipe} {keys}".rstrip()
    return "missing"


def _ranks(ranks: list[int]) -> str:
    shown = ", ".join(map(str, ranks[:8])) + (", ..." if len(ranks) > 8 else "")
    return f"rank {shown}" if len(ranks) == 1 else f"ranks {shown}"


def _digest(plan: Plan) -> bytes:
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for fill in (*plan.fills, *plan.left):
        digest.update(_fill_digest(fill))
    return digest.digest()


def _fill_digest(fill: Fill) -> bytes:
    """What decides the values and where they lie, but not who asked for them."""
    from tritoninit.plan.document import encoded  # 1 ms of `import tritoninit`

    document = encoded(fill)
    del document["origin"]
    document["left"] = isinstance(fill, Left)
    return hashlib.blake2b(json.dumps(document).encode(), digest_size=8).digest()
