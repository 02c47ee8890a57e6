"""A folder of JSON results as README.md, and as chart.png where matplotlib is installed.

python -m benchmarks.render FOLDER
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.common import describe
from benchmarks.timing import duration

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
MAIN = ("tritoninit", "torch.nn.init", "fill_")
CHARTED = ("normal_", "uniform_", "trunc_normal_")
Row = dict[str, Any]


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table, the first column to the left and the others to the right."""
    names = list(header)
    lines = [names, [":--", *("--:" for _ in names[1:])], *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _size(shape: list[int]) -> str:
    numel = math.prod(shape)
    power = numel.bit_length() - 1
    return f"2^{power}" if numel == 1 << power else "x".join(map(str, shape))


def _single_row(row: Row, peers: list[str]) -> list[str]:
    timings = row["timings"]
    numel = math.prod(row["shape"])
    ours, torchs, ceiling = (timings[name]["median_s"] for name in MAIN)
    spread = (timings["tritoninit"]["q3_s"] - timings["tritoninit"]["q1_s"]) / ours
    others = [
        f"{timings[peer]['median_s'] / ours:.2f}x" if peer in timings else "" for peer in peers
    ]
    return [
        f"`{row['op']}`",
        _size(row["shape"]),
        duration(ours),
        f"{spread:.0%}",
        f"{numel / ours / 1e6:.4g}",
        f"{numel * BYTES[row['dtype']] / ours / 1e9:.3g}",
        f"{ceiling / ours:.0%}",
        duration(torchs),
        f"{torchs / ours:.2f}x",
        *others,
        f"{timings['tritoninit']['rounds']}, {timings['torch.nn.init']['rounds']}",
    ]


def single(document: dict[str, Any]) -> str:
    """The tables of bench_single, one a dtype."""
    parts = [
        "Time is the median of a call; ratios are the other's time over tritoninit's, so above 1"
        " tritoninit is faster. Spread is the distance of the quartiles. `fill_` is the time of"
        " `tensor.fill_` on the same memory as a share of tritoninit's. Samples are the numbers of"
        " timed rounds of tritoninit and torch.nn.init.\n"
    ]
    for dtype in BYTES:
        rows = [row for row in document["results"] if row["dtype"] == dtype]
        if not rows:
            continue
        names = dict.fromkeys(name for row in rows for name in row["timings"])
        peers = [name for name in names if name not in MAIN]
        header = ["initializer", "elements", "time", "spread", "M samples/s", "GB/s", "`fill_`"]
        header += ["torch.nn.init", "ratio", *(f"{peer} ratio" for peer in peers), "samples"]
        parts += [f"### {dtype}\n", table(header, (_single_row(row, peers) for row in rows))]
    if document["not_timed"]:
        parts.append("Not timed:\n")
        parts += [f"- {peer}: {reason}" for peer, reason in document["not_timed"].items()]
    return "\n".join(parts)


def imports(document: dict[str, Any]) -> str:
    """The table of bench_import."""
    rows = [
        [f"`import {name}`", *(f"{times[key] * 1e3:.1f}" for key in ("median_s", "q1_s", "q3_s"))]
        for name, times in document["results"].items()
    ]
    head = f"Milliseconds, {document['processes']} processes; tritoninit's is on top of torch's.\n"
    return head + "\n" + table(["", "median", "lower quartile", "upper quartile"], rows)


def model(document: dict[str, Any]) -> str:
    """The table of bench_model."""
    rows = [
        [
            f"{result['workload']}: {name}",
            duration(timing["median_s"]),
            f"{document['bytes'] / timing['median_s'] / 1e9:.3g}",
            f"{timing['median_s'] / result['timings']['tritoninit.materialize']['median_s']:.2f}x",
            str(timing["rounds"]),
        ]
        for result in document["results"]
        for name, timing in result["timings"].items()
    ]
    head = (
        f"{document['elements'] / 1e6:.4g} M elements in {document['tensors']} tensors,"
        f" {document['dtype']}; allocation is part of the time. Above 1, tritoninit is faster.\n"
    )
    return head + "\n" + table(["", "median", "GB/s", "ratio", "samples"], rows)


def checkpoint(document: dict[str, Any]) -> str:
    """The table of bench_checkpoint."""
    peers = document["transformers"]
    rows = [
        *(
            [
                f"`tritoninit {name}`",
                duration(statistics.median(document[f"{name}_seconds"])),
                f"{document[f'{name}_memory_bytes'] / (1 << 20):.0f} MiB",
            ]
            for name in ("init", "verify")
        ),
        *(
            [f"transformers' `{name}`", duration(statistics.median(p[key] for p in peers)), ""]
            for name, key in (("from_config", "init_seconds"), ("save_pretrained", "save_seconds"))
        ),
    ]
    head = (
        f"{document['elements'] / 1e6:.5g} M elements, {document['bytes'] / 1e9:.3g} GB in"
        f" {document['files']} files of at most {document['shard']}; medians of"
        f" {len(peers)} processes. Memory is what was resident at most, above what was after all"
        f" imports. Killed {document['kills']} times at random, then continued, the files were"
        f" {'the same' if document['identical_after_kills'] else 'others'}.\n"
    )
    return head + "\n" + table(["", "time", "memory"], rows)


def shards(document: dict[str, Any]) -> str:
    """The table of bench_shards."""
    rows = []
    for row in document["results"]:
        part, contiguous, ceiling = (
            row["timings"][name]["median_s"] for name in ("part", "contiguous", "fill_")
        )
        numel = math.prod(row["shape"])
        rows.append(
            [
                f"`{row['op']}` {row['dtype']}, {row['layout']}",
                "x".join(map(str, row["shape"])),
                duration(part),
                duration(contiguous),
                f"{part / contiguous:.2f}x",
                f"{numel / part / 1e6:.4g}",
                f"{numel * BYTES[row['dtype']] / part / 1e9:.3g}",
                f"{ceiling / part:.0%}",
                str(row["timings"]["part"]["rounds"]),
            ]
        )
    size = "x".join(map(str, document["results"][0]["global_shape"]))
    head = (
        f"One rank's part of a {size} matrix, in memory of its own, beside as many contiguous"
        " elements: 1 means that sharding costs nothing. `fill_` is its time on the same memory as"
        " a share of the part's.\n"
    )
    header = ["part", "shape", "time", "contiguous", "ratio", "M samples/s", "GB/s", "`fill_`"]
    return head + "\n" + table([*header, "samples"], rows)


def fingerprints(document: dict[str, Any]) -> str:
    """The table of bench_fingerprint."""
    rows = [
        [
            name,
            row["dtype"],
            _size(row["shape"]),
            duration(timing["median_s"]),
            f"{math.prod(row['shape']) * BYTES[row['dtype']] / timing['median_s'] / 1e9:.3g}",
            str(timing["rounds"]),
        ]
        for row in document["results"]
        for name, timing in row["timings"].items()
    ]
    return table(["", "dtype", "elements", "median", "GB/s", "samples"], rows)


def cases(document: dict[str, Any]) -> str:
    """The table of bench_plan and bench_transformers."""
    rows = [
        [
            f"{result['case']}: {name}",
            *(duration(timing[key]) for key in ("median_s", "q1_s", "q3_s")),
            str(timing["rounds"]),
        ]
        for result in document["results"]
        for name, timing in result["timings"].items()
    ]
    return table(["", "median", "lower quartile", "upper quartile", "samples"], rows)


TABLES = {
    "plan": cases,
    "transformers": cases,
    "single": single,
    "import": imports,
    "model": model,
    "shards": shards,
    "fingerprint": fingerprints,
    "checkpoint": checkpoint,
}
TITLES = {
    "plan": "Plans of large models",
    "transformers": "transformers' models from a config",
    "single": "Single fills",
    "import": "Import time",
    "model": "A whole model",
    "shards": "Parts of a sharded matrix",
    "fingerprint": "Fingerprints",
    "checkpoint": "A checkpoint",
}


def chart(document: dict[str, Any], path: Path) -> bool:
    """Samples a second over the number of elements, float32; False without matplotlib."""
    if importlib.util.find_spec("matplotlib") is None:
        return False
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    rows = [row for row in document["results"] if row["dtype"] == "float32"]
    figure, axes = pyplot.subplots(1, len(CHARTED), figsize=(13, 4.2), sharey=True)
    for op, axis in zip(CHARTED, axes, strict=True):
        chosen = [row for row in rows if row["op"] == op]
        for name in dict.fromkeys(name for row in chosen for name in row["timings"]):
            drawn = [row for row in chosen if name in row["timings"]]
            numel = [math.prod(row["shape"]) for row in drawn]
            seconds = [row["timings"][name]["median_s"] for row in drawn]
            rate = [n / s for n, s in zip(numel, seconds, strict=True)]
            style = {"linewidth": 2.5} if name == "tritoninit" else {"linewidth": 1.2}
            axis.plot(numel, rate, marker=".", label=name, **style)
        axis.set(xscale="log", yscale="log", xlabel="elements", title=f"{op} float32")
        axis.grid(alpha=0.3)
        axis.legend(fontsize="small")
    axes[0].set_ylabel("samples a second")
    figure.suptitle(describe(document["environment"]), fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
    return True


def main() -> None:
    """Render every JSON file of the folder."""
    options = argparse.ArgumentParser(description="Results as Markdown and a chart")
    options.add_argument("folder", type=Path)
    folder = options.parse_args().folder
    parts = ["# Benchmark results\n"]
    for path in sorted(folder.glob("*.json")):
        document = json.loads(path.read_text())
        facts = document["environment"]
        parts.append(f"## {TITLES[document['benchmark']]} ({path.name})\n")
        parts.append(f"{describe(facts)}, commit {facts['commit']}.\n")
        if document["quick"]:
            parts.append("**A quick run: its figures are no measurement.**\n")
        parts.append(TABLES[document["benchmark"]](document))
        image = path.with_suffix(".png")
        if document["benchmark"] == "single" and chart(document, image):
            parts.append(f"![samples a second]({image.name})\n")
    if len(parts) == 1:
        raise SystemExit(f"no JSON results in {folder}")
    (folder / "README.md").write_text("\n".join(parts))
    print(f"wrote {folder / 'README.md'}")


if __name__ == "__main__":
    main()
