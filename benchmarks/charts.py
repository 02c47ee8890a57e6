"""Charts of the results, as PNG; matplotlib draws them where it is installed."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

from benchmarks.common import describe

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
CHARTED = ("uniform_", "normal_", "trunc_normal_")
DTYPES = ("float32", "bfloat16")
CEILING = "fill_"
COLOURS = {
    "tritoninit": "C0",
    "torch.nn.init": "C1",
    CEILING: "0.6",
    "numpy": "C2",
    "torch.func._random": "C3",
    "jax": "C4",
    "flag_gems": "C5",
}
BARS = {
    "tritoninit.materialize": "C0",
    "to_empty, tritoninit.init": "C9",
    "to_empty, torch.nn.init": "C1",
    "to_empty, fill_": "0.6",
}


def _pyplot() -> Any:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _save(figure: Any, document: dict[str, Any], path: Path) -> None:
    figure.suptitle(describe(document["environment"]), fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    _pyplot().close(figure)


def single(document: dict[str, Any], path: Path) -> None:
    """Bandwidth over the number of elements, with fill_ as the ceiling."""
    dtypes = [d for d in DTYPES if any(row["dtype"] == d for row in document["results"])]
    figure, grid = _pyplot().subplots(
        len(dtypes), len(CHARTED), figsize=(13, 3.7 * len(dtypes) + 0.4), sharey=True, squeeze=False
    )
    for dtype, line in zip(dtypes, grid, strict=True):
        for op, axis in zip(CHARTED, line, strict=True):
            rows = [r for r in document["results"] if (r["op"], r["dtype"]) == (op, dtype)]
            for name in dict.fromkeys(name for row in rows for name in row["timings"]):
                drawn = [row for row in rows if name in row["timings"]]
                drawn.sort(key=lambda row: math.prod(row["shape"]))
                numel = [math.prod(row["shape"]) for row in drawn]
                seconds = [row["timings"][name]["median_s"] for row in drawn]
                rate = [n * BYTES[dtype] / s / 1e9 for n, s in zip(numel, seconds, strict=True)]
                style = {"color": COLOURS[name]} if name in COLOURS else {}
                width = 2.5 if name == "tritoninit" else 1.2
                axis.plot(numel, rate, marker=".", label=name, linewidth=width, **style)
            axis.set(xscale="log", yscale="log", title=f"{op} {dtype}")
            axis.set_xscale("log", base=2)
            axis.grid(alpha=0.3)
            axis.legend(fontsize="small")
        line[0].set_ylabel("GB/s written")
    for axis in grid[-1]:
        axis.set_xlabel("elements")
    _save(figure, document, path)


def models(document: dict[str, Any], path: Path) -> None:
    """A group of bars for each model; planning is the hatched part of materialize."""
    results = document["results"]
    figure, axes = _pyplot().subplots(
        1, len(results), figsize=(3.3 * len(results), 4), squeeze=False
    )
    for result, axis in zip(results, axes[0], strict=True):
        for at, (name, colour) in enumerate(BARS.items()):
            if name not in result["timings"]:
                continue
            seconds = result["timings"][name]["median_s"]
            axis.bar(at, seconds, color=colour, label=name)
            if at == 0:
                planning = min(seconds, result["timings"]["plan"]["median_s"])
                axis.bar(
                    0, planning, color=colour, hatch="///", edgecolor="white", label="planning"
                )
        axis.set_xticks([])
        axis.set_title(
            f"{result['workload']}\n{result['elements'] / 1e6:.4g} M elements,"
            f" {result['tensors']} tensors, {result['dtype']}",
            fontsize=8,
        )
        axis.grid(alpha=0.3, axis="y")
    axes[0][0].set_ylabel("seconds")
    axes[0][-1].legend(fontsize="small")
    _save(figure, document, path)


CHARTS = {"single": single, "models": models}


def draw(document: dict[str, Any], path: Path) -> bool:
    """Draw the chart of a document, where it has one; False where not, or without matplotlib."""
    make = CHARTS.get(document["benchmark"])
    if make is None or importlib.util.find_spec("matplotlib") is None:
        return False
    make(document, path)
    return True
