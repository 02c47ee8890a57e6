"""Tables of fills and of what reads or imports: Markdown from a document of results."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from benchmarks.charts import BYTES
from benchmarks.timing import duration

MAIN = ("tritoninit", "torch.nn.init", "fill_")
Row = dict[str, Any]


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table, the first column to the left and the others to the right."""
    names = list(header)
    lines = [names, [":--", *("--:" for _ in names[1:])], *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def size(shape: list[int]) -> str:
    """The number of elements where it is a power of two, else the shape."""
    numel = math.prod(shape)
    power = numel.bit_length() - 1
    return f"2^{power}" if numel == 1 << power else "x".join(map(str, shape))


def _single_row(row: Row, peers: list[str]) -> list[str]:
    timings = row["timings"]
    numel = math.prod(row["shape"])
    ours = timings["tritoninit"]["median_s"]
    torchs, ceiling = (timings.get(name, {}).get("median_s") for name in MAIN[1:])
    spread = (timings["tritoninit"]["q3_s"] - timings["tritoninit"]["q1_s"]) / ours
    others = [
        f"{timings[peer]['median_s'] / ours:.2f}x" if peer in timings else "" for peer in peers
    ]
    return [
        f"`{row['op']}`",
        size(row["shape"]),
        duration(ours),
        f"{spread:.0%}",
        f"{numel / ours / 1e6:.4g}",
        f"{numel * BYTES[row['dtype']] / ours / 1e9:.3g}",
        f"{ceiling / ours:.0%}" if ceiling else "",
        duration(torchs) if torchs else "",
        f"{torchs / ours:.2f}x" if torchs else "",
        *others,
        ", ".join(str(timings[name]["rounds"]) for name in MAIN[:2] if name in timings),
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
        ops = [row["op"] for row in rows]
        rows.sort(key=lambda row: (ops.index(row["op"]), math.prod(row["shape"])))
        names = dict.fromkeys(name for row in rows for name in row["timings"])
        peers = [name for name in names if name not in MAIN]
        header = ["initializer", "elements", "time", "spread", "M samples/s", "GB/s", "`fill_`"]
        header += ["torch.nn.init", "ratio", *(f"{peer} ratio" for peer in peers), "samples"]
        parts += [f"### {dtype}\n", table(header, (_single_row(row, peers) for row in rows))]
    return "\n".join(parts)


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


def threads(document: dict[str, Any]) -> str:
    """The table of bench_threads."""
    names = list(document["results"][0]["timings"])
    rows = []
    for row in document["results"]:
        times = [row["timings"][name]["median_s"] for name in names]
        columns = [f"{duration(time)} ({times[0] / time:.2f}x)" for time in times]
        rows.append([f"`{row['op']}` {row['dtype']}", size(row["shape"]), *columns])
    return table(["", "elements", *names], rows)


def fingerprints(document: dict[str, Any]) -> str:
    """The table of bench_fingerprint."""
    rows = [
        [
            name,
            row["dtype"],
            size(row["shape"]),
            duration(timing["median_s"]),
            f"{math.prod(row['shape']) * BYTES[row['dtype']] / timing['median_s'] / 1e9:.3g}",
            str(timing["rounds"]),
        ]
        for row in document["results"]
        for name, timing in row["timings"].items()
    ]
    return table(["", "dtype", "elements", "median", "GB/s", "samples"], rows)


def imports(document: dict[str, Any]) -> str:
    """The table of bench_import."""
    rows = [
        [f"`import {name}`", *(f"{times[key] * 1e3:.1f}" for key in ("median_s", "q1_s", "q3_s"))]
        for name, times in document["results"].items()
    ]
    head = f"Milliseconds, {document['processes']} processes; tritoninit's is on top of torch's.\n"
    return head + "\n" + table(["", "median", "lower quartile", "upper quartile"], rows)


def tuning(document: dict[str, Any]) -> str:
    """The table of bench_tuning: the best choice of each case, then all of them."""
    best, rows = [], []
    for row in document["results"]:
        timings = row["timings"]
        shipped, present, *_ = timings
        case = f"`{row['op']}` {row['dtype']}"
        choices = {name: t["median_s"] for name, t in timings.items() if name != shipped}
        fastest = min(choices, key=lambda name: choices[name])
        gain = choices[present] / choices[fastest] - 1
        best.append([case, fastest, f"{gain:.1%}", duration(choices[fastest])])
        for name, timing in timings.items():
            spread = (timing["q3_s"] - timing["q1_s"]) / timing["median_s"]
            ratio = f"{choices[present] / timing['median_s']:.3f}x"
            rows.append([f"{case}: {name}", duration(timing["median_s"]), f"{spread:.1%}", ratio])
    head = (
        f"{size(document['results'][0]['shape'])} elements. The first choice of each is the present"
        " one; ratios are its time over another's, so above 1 the other is faster. A gain below the"
        " spread is none.\n"
    )
    parts = [head, table(["", "fastest choice", "gain", "time"], best)]
    return "\n".join([*parts, table(["", "median", "spread", "ratio"], rows)])


def launch(document: dict[str, Any]) -> str:
    """The table of bench_launch."""
    rows = [
        [f"{row['op']}: {name}", *(duration(timing[key]) for key in ("median_s", "q1_s", "q3_s"))]
        for row in document["results"]
        for name, timing in row["timings"].items()
    ]
    head = (
        "What a call on a CUDA tensor takes on the host before the driver's launch, with a stand-in"
        " for the driver; torch's calls on one element of host memory beside it.\n"
    )
    return head + "\n" + table(["", "median", "lower quartile", "upper quartile"], rows)


def orthogonal(document: dict[str, Any]) -> str:
    """The table of bench_orthogonal."""
    rows = []
    for row in document["results"]:
        timings = row["timings"]
        ours = timings.get("together", timings["tritoninit"])
        torchs = timings.get("torch.nn.init")
        size = "x".join(map(str, row["shape"]))
        rows.append(
            [
                size if row["count"] == 1 else f"{row['count']} of {size}",
                duration(ours["median_s"]),
                duration(torchs["median_s"]) if torchs else "",
                f"{torchs['median_s'] / ours['median_s']:.2f}x" if torchs else "",
                f"{row['operations'] / ours['median_s'] / 1e9:.3g}",
                f"{row['memory_bytes'] / (row['count'] * math.prod(row['shape'])):.3g}",
                ", ".join(str(timing["rounds"]) for timing in (ours, torchs) if timing),
            ]
        )
    head = (
        "float64 inside and float32 outside; torch.nn.init is float32 throughout. Several matrices"
        " are one call, torch's a loop. Memory is what is held at most beside the tensors.\n"
    )
    header = ["matrix", "time", "torch.nn.init", "ratio", "GFLOP/s", "B an element", "samples"]
    return head + "\n" + table(header, rows)
