"""What a GPU's figures are to reach, and what they reached: one table from a folder's results.

The targets are set for an H200, of 4.8 TB/s; ratios are over the other's time, so more is better
but where the most is stated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.tables import size, table
from benchmarks.timing import duration

CARD = "H200"
TORCH, LOOP, FILL = "torch.nn.init", "to_empty, torch.nn.init", "to_empty, fill_"
Documents = dict[str, dict[str, Any]]  # by the benchmark's name
Row = dict[str, Any]


@dataclass(frozen=True)
class Reached:
    """A figure, and what it was read off."""

    value: float
    where: str


@dataclass(frozen=True)
class Target:
    """A figure to be reached: at least ``bound``, or at most."""

    what: str
    bound: float
    unit: str
    read: Callable[[Documents], Reached | None]
    at_most: bool = False

    def row(self, documents: Documents) -> list[str]:
        """The line of the table."""
        wanted = f"{'<=' if self.at_most else '>='} {self.bound:g}{self.unit}"
        reached = self.read(documents)
        if reached is None:
            return [self.what, wanted, "not measured", "", ""]
        met = reached.value <= self.bound if self.at_most else reached.value >= self.bound
        figure = f"{reached.value:.3g}{self.unit}"
        return [self.what, wanted, figure, "yes" if met else "**no**", reached.where]


def _median(row: Row, name: str) -> float:
    return float(row["timings"][name]["median_s"])


def _rows(documents: Documents, benchmark: str, *names: str, **is_equal: Any) -> list[Row]:
    """The rows of a benchmark with all of these contestants and values, the smallest first."""
    rows = [
        row
        for row in documents.get(benchmark, {}).get("results", ())
        if all(name in row["timings"] for name in names)
        and all(row.get(key) == value for key, value in is_equal.items())
    ]
    return sorted(rows, key=lambda row: math.prod(row.get("shape", ())))


def ratio(op: str, dtype: str, other: str, documents: Documents) -> Reached | None:
    """The other's time over tritoninit's, on the most elements that both filled."""
    rows = _rows(documents, "single", "tritoninit", other, op=op, dtype=dtype)
    if not rows:
        return None
    ours, others = (_median(rows[-1], name) for name in ("tritoninit", other))
    where = f"{duration(ours)} and {duration(others)}, {size(rows[-1]['shape'])} elements"
    return Reached(others / ours, where)


def share(op: str, documents: Documents) -> Reached | None:
    """The percentage of fill_'s bandwidth, in float32."""
    found = ratio(op, "float32", "fill_", documents)
    return found and Reached(100 * found.value, found.where)


def rate(op: str, dtype: str, documents: Documents) -> Reached | None:
    """10^12 samples a second, on the most elements."""
    rows = _rows(documents, "single", "tritoninit", op=op, dtype=dtype)
    if not rows:
        return None
    seconds, numel = _median(rows[-1], "tritoninit"), math.prod(rows[-1]["shape"])
    return Reached(numel / seconds * 1e-12, f"{duration(seconds)}, {size(rows[-1]['shape'])}")


def shaped(op: str, shape: list[int], documents: Documents) -> Reached | None:
    """torch.nn.init's time over tritoninit's on a shape, in float32."""
    name = "orthogonal" if op == "orthogonal_" else "single"
    key = {} if op == "orthogonal_" else {"op": op}
    names = ("tritoninit", TORCH)
    rows = _rows(documents, name, *names, shape=shape, dtype="float32", **key)
    rows = [row for row in rows if row.get("count", 1) == 1]
    if not rows:
        return None
    ours, torchs = (_median(rows[0], name) for name in names)
    return Reached(torchs / ours, f"{duration(ours)} and {duration(torchs)}")


def worst(peer: str, documents: Documents) -> Reached | None:
    """The least ratio to a peer over all lines."""
    rows = _rows(documents, "single", "tritoninit", peer)
    if not rows:
        return None
    ratios = [_median(row, peer) / _median(row, "tritoninit") for row in rows]
    least = min(ratios)
    row = rows[ratios.index(least)]
    ahead = sum(found > 1 for found in ratios)
    where = f"{row['op']} {row['dtype']} {size(row['shape'])}"
    return Reached(least, f"ahead on {ahead} of {len(rows)} lines; the least on {where}")


def _model(documents: Documents, workload: str, *names: str) -> Row | None:
    rows = _rows(documents, "models", "tritoninit.materialize", *names, workload=workload)
    return rows[0] if rows else None


def _parts(row: Row) -> str:
    """What materialize's time is made of."""
    busy = row["busy_s"].get("tritoninit.materialize")
    kernels = f", its kernels' {duration(busy)}" if busy else ""
    planning = f", planning's {duration(_median(row, 'plan'))}" if "plan" in row["timings"] else ""
    return f"materialize's {duration(_median(row, 'tritoninit.materialize'))}{kernels}{planning}"


def beside_loop(workload: str, documents: Documents) -> Reached | None:
    """The time of a loop of torch.nn.init over materialize's."""
    row = _model(documents, workload, LOOP)
    if row is None:
        return None
    ours, loop = (_median(row, name) for name in ("tritoninit.materialize", LOOP))
    return Reached(loop / ours, f"{_parts(row)}; the loop's {duration(loop)}")


def beside_normal(workload: str, documents: Documents) -> Reached | None:
    """materialize's time over that of as many elements at the rate of normal_ in one tensor."""
    row, single = _model(documents, workload), rate("normal_", "bfloat16", documents)
    if row is None or single is None:
        return None
    floor = row["elements"] / single.value * 1e-12
    value = _median(row, "tritoninit.materialize") / floor
    where = f"{_parts(row)}; one tensor's {duration(floor)}"
    if FILL in row["timings"]:
        where += f"; fill_'s {duration(_median(row, FILL))}"
    return Reached(value, where)


TARGETS = (
    Target("uniform_ float32 of fill_'s bandwidth", 95, "%", partial(share, "uniform_")),
    Target("normal_ float32 of fill_'s bandwidth", 80, "%", partial(share, "normal_")),
    Target("normal_ bfloat16", 0.85, " T/s", partial(rate, "normal_", "bfloat16")),
    *(
        Target(f"trunc_normal_ {name}", 0.8, " T/s", partial(rate, "trunc_normal_", name))
        for name in ("float32", "bfloat16")
    ),
    *(
        Target(f"{op} float32, {TORCH}", times, "x", partial(ratio, op, "float32", TORCH))
        for op, times in (("uniform_", 2.2), ("normal_", 1.7), ("trunc_normal_", 20))
    ),
    *(
        Target(f"{op} {'x'.join(map(str, shape))}, {TORCH}", times, "x", partial(shaped, op, shape))
        for op, shape, times in (
            ("sparse_", [4096, 4096], 100),
            ("dirac_", [512, 512, 3, 3], 50),
            ("orthogonal_", [4096, 4096], 5),
        )
    ),
    *(
        Target(f"{peer}, every line", 1, "x", partial(worst, peer))
        for peer in ("jax", "torch.func._random")
    ),
    Target(
        "Llama 3 8B over normal_ of as many elements",
        1.4,
        "x",
        partial(beside_normal, "Llama 3 8B"),
        at_most=True,
    ),
    Target(f"Llama 3 8B, a loop of {TORCH}", 3, "x", partial(beside_loop, "Llama 3 8B")),
    Target(f"50,000 tensors, a loop of {TORCH}", 50, "x", partial(beside_loop, "50,000 tensors")),
)


def summary(documents: Documents) -> str:
    """The table of all targets; nothing where no result is a GPU's."""
    on_gpu = [d["environment"] for d in documents.values() if d["environment"]["device"] == "cuda"]
    if not on_gpu:
        return ""
    name = on_gpu[0]["gpu"]["name"]
    head = f"The targets are those of an {CARD}; measured on: {name}."
    if CARD not in name:
        head += " **Another card: its figures say whether ratios hold, and not more.**"
    rows = [target.row(documents) for target in TARGETS]
    header = ["target", "wanted", "reached", "met", "read off"]
    return head + "\n\n" + table(header, rows)
