"""``beside_torch.json`` as tables of Markdown."""

from __future__ import annotations

from typing import Any

from tests.accuracy.truncation import Case

HEAD = """# trunc_normal_ beside torch's

`python -m tests.accuracy.beside_torch`, in each of these environments:

{environments}

A case is (mean, std, a, b). Per case and implementation:

- **outside**: samples beyond the bounds; **inf**: infinite ones.
- **at a, at b**: samples that are the least and the greatest value of the dtype within the bounds (or lie beyond), and in brackets how many exact samples, rounded and clamped, would be on average. Bold where that count has a p-value below 1e-6.
- **worst**: the largest error of a finite sample against the exact value of its own word or uniform, in units of 2^-24 (float32), 2^-8 (bfloat16), 2^-11 (float16) of std max(1, |z|); rounding alone gives at most 1, and 2 where it is clamped. Where torch redraws, a sample has no argument, and so no error.
- **KS**: the largest distance between the distribution functions of the samples and of exact ones, times the root of the number of samples, on the dtype's grid; exact samples stay below 2.7 with a probability of 1 - 1e-6. Bold above.
- **range**: the least and the greatest finite sample, in units of std from the mean; in brackets the medians of the least and the greatest of as many exact ones.
- **distinct**: how many values occur.
- **ns**: nanoseconds a sample, one call on two cores that other processes used, too: no more than a magnitude. Where a call did not end within the limit, the row is of fewer samples, which the second column names.
"""  # noqa: E501
COLUMNS = ("outside", "inf", "at a", "at b", "worst", "KS", "range", "distinct", "ns")
ROW = "| {} |".format
ALIGNED = "|---|---|" + "--:|" * len(COLUMNS)
SURE = 1e-6


def bold(text: str, when: bool) -> str:
    return f"**{text}**" if when else text


def compact(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def cells(record: dict[str, Any]) -> list[str]:
    """The cells of a record's row."""
    case = Case(*map(float, record["case"]))
    if "error" in record:
        return [f"error: {record['error']}"] + [""] * (len(COLUMNS) - 1)
    if "samples" not in record:
        sizes = " nor ".join(f"{size:,}" for size in record["unfinished"])
        return [f"not finished with {sizes} samples"] + [""] * (len(COLUMNS) - 1)
    ends = [
        bold(f"{found:,}", p < SURE) + f" ({compact(expected)})"
        for found, expected, p in zip(
            record["at_bounds"], record["expected_at_bounds"], record["p_at_bounds"], strict=True
        )
    ]
    spans = [
        "{:.3f} to {:.3f}".format(*((end - case.mean) / case.std for end in record[name]))
        for name in ("range", "expected_range")
    ]
    return [
        bold(f"{record['outside']:,}", record["outside"] > 0),
        bold(f"{record['infinite']:,}", record["infinite"] > 0),
        *ends,
        f"{record['worst']:,.3g}" if "worst" in record else "",
        bold(f"{record['distance'] * record['samples'] ** 0.5:,.3g}", record["p_distance"] < SURE),
        f"{spans[0]} ({spans[1]})",
        f"{record['distinct']:,}",
        f"{record['nanoseconds_per_sample']:,.3g}",
    ]


def rendered(document: dict[str, Any]) -> str:
    """All records, a table for each dtype."""
    environments = "\n".join(
        f"- {name}: Python {run['python']}, torch {run['torch']}, numpy {run['numpy']},"
        f" {run['machine']} with {run['cpu capability']}, seed {run['seed']}, limit"
        f" {run['limit']:g} s"
        for name, run in document.items()
    )
    lines = [HEAD.format(environments=environments)]
    first = next(iter(document.values()))["records"]
    for dtype in dict.fromkeys(record["dtype"] for record in first):
        lines += [f"## {dtype}", "", ROW(" | ".join(["case", "", *COLUMNS])), ALIGNED]
        for record in (record for record in first if record["dtype"] == dtype):
            for name, run in document.items():
                same = (
                    other
                    for other in run["records"]
                    if (other["case"], other["dtype"]) == (record["case"], dtype)
                )
                for found in same:
                    late = "samples" in found and "unfinished" in found
                    which = f"{name}, {found['samples']:,} samples" if late else name
                    case = Case(*map(float, record["case"]))
                    lines.append(ROW(" | ".join([str(case), which, *cells(found)])))
        lines.append("")
    return "\n".join(lines)
