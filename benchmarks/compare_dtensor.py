"""What torch.nn.init gives on DTensors, and what tritoninit gives: two gloo ranks on this machine.

    python -m benchmarks.compare_dtensor

Every cell is compared with the tensor that one process gets under the same torch.manual_seed.
"""

from __future__ import annotations

import re
import warnings
from types import ModuleType
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import Placement, Shard, distribute_tensor

from tests.distributed.launch import run
from tritoninit import init

RANKS = 2
SEED = 0
LIBRARIES = {"torch.nn.init": torch.nn.init, "tritoninit": init}


class Case(NamedTuple):
    """One initializer, the global shape and its arguments."""

    name: str
    shape: tuple[int, ...]
    args: tuple[Any, ...] = ()

    def __call__(self, library: ModuleType, tensor: Tensor) -> Tensor:
        torch.manual_seed(SEED)
        filled: Tensor = getattr(library, self.name)(tensor, *self.args)
        return filled

    def __str__(self) -> str:
        return f"{self.name} {' x '.join(map(str, self.shape))}"


CASES = [
    Case("uniform_", (8, 6)),
    Case("normal_", (8, 6)),
    Case("trunc_normal_", (8, 6)),
    Case("xavier_uniform_", (8, 6)),
    Case("kaiming_normal_", (8, 6)),
    Case("orthogonal_", (6, 12)),
    Case("orthogonal_", (6, 4)),
    Case("orthogonal_", (12, 6)),
    Case("orthogonal_", (8, 8)),
    Case("sparse_", (8, 6), (0.5,)),
    Case("eye_", (8, 6)),
    Case("dirac_", (8, 8, 3)),
    Case("constant_", (8, 6), (0.5,)),
]
PLACEMENTS = (Shard(0), Shard(1))


class Row(NamedTuple):
    """One line of the table: what each library gives, in words."""

    case: str
    placement: str
    verdicts: dict[str, str]


def compare(rank: int) -> list[Row]:
    """The table; to be called on every rank of a gloo group."""
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    return [
        Row(
            str(case),
            f"Shard({placement.dim})",
            {name: verdict(case, lib, mesh, placement) for name, lib in LIBRARIES.items()},
        )
        for case in CASES
        for placement in PLACEMENTS
    ]


def verdict(case: Case, library: ModuleType, mesh: DeviceMesh, placement: Placement) -> str:
    """What the ranks hold after the call, beside what one process holds."""
    single = case(library, torch.full(case.shape, 7.0))
    tensor = distribute_tensor(torch.full(case.shape, 7.0), mesh, (placement,))
    held = tuple(tensor.to_local().shape)
    local, error = None, ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a CPU mesh, and of an output that is resized
            local = case(library, tensor).to_local().clone()
        if tuple(local.shape) != held:
            error = f"the whole {tuple(local.shape)} in every rank's part of {held}"
    except Exception as raised:
        error = f"raises {type(raised).__name__}: {_short(str(raised))}"
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, (local, error))
    errors = [text for _, text in gathered if text]
    if errors:
        return str(errors[0])
    parts = [part for part, _ in gathered]
    whole = torch.cat(parts, placement.dim)  # type: ignore[attr-defined]
    return _described(case, whole, parts, single)


def _described(case: Case, whole: Tensor, parts: list[Tensor], single: Tensor) -> str:
    if torch.equal(whole, single):
        return "the single process's bits"
    if not whole.any():
        return "all zeros"
    words = ["other values"]
    if all(torch.equal(part, parts[0]) for part in parts[1:]):
        words = ["the same shard on every rank"]
    if case.name == "orthogonal_":
        small = whole.double() if whole.shape[0] <= whole.shape[1] else whole.double().T
        off = (small @ small.T - torch.eye(len(small))).abs().max().item()
        words.append("orthonormal" if off < 1e-5 else f"not orthonormal (off by {off:.2g})")
    return ", ".join(words)


def _short(text: str, most: int = 60) -> str:
    line = re.sub(r"\s+", " ", text).replace("|", "/")
    return line if len(line) <= most else line[: most - 3] + "..."


def table(rows: list[Row]) -> str:
    """The rows in Markdown."""
    lines = ["| | | " + " | ".join(LIBRARIES) + " |", "|---|---" * 2 + "|"]
    for row in rows:
        cells = [f"`{row.case}`", row.placement, *(row.verdicts[name] for name in LIBRARIES)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(f"torch {torch.__version__}, {RANKS} gloo ranks, CPU mesh, torch.manual_seed({SEED})\n")
    print(table(run(compare, RANKS)[0]))
