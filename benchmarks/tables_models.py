"""Tables of whole models: Markdown from a document of results."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.tables import table
from benchmarks.timing import duration


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


def models(document: dict[str, Any]) -> str:
    """The table of bench_models."""
    rows = []
    for result in document["results"]:
        sizes = ", ".join(f"{name} {value}" for name, value in result["sizes"].items())
        rows.append([f"**{result['workload']}**: {sizes}; {result['dtype']}", *[""] * 6])
        ours = result["timings"]["tritoninit.materialize"]["median_s"]
        for name, timing in result["timings"].items():
            busy = result["busy_s"].get(name)
            spread = (timing["q3_s"] - timing["q1_s"]) / timing["median_s"]
            rate = "" if name == "plan" else f"{result['bytes'] / timing['median_s'] / 1e9:.3g}"
            ratio = f"{timing['median_s'] / ours:.2f}x"
            kernels = duration(busy) if busy else ""
            time = duration(timing["median_s"])
            rows.append([name, time, f"{spread:.0%}", rate, ratio, kernels, str(timing["rounds"])])
    sums = "; ".join(
        f"{r['workload']} {r['elements'] / 1e6:.4g} M elements in {r['tensors']} tensors"
        for r in document["results"]
    )
    head = (
        f"{sums}. Allocation is part of every time, and planning (`plan`) of materialize's. Ratios"
        " are over materialize's time. Busy is how long a GPU's kernels ran in one call.\n"
    )
    return head + "\n" + table(["", "median", "spread", "GB/s", "ratio", "busy", "samples"], rows)


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
