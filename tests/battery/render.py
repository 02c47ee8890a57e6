"""The results of the battery as a page of tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.common import describe
from benchmarks.tables import table
from tests.battery.policy import threshold

Document = dict[str, Any]
LISTED = 40  # p-values of a subject up to which all are listed

TITLES = {
    "words": "Words: our own tests",
    "smallcrush": "Words: TestU01's SmallCrush",
    "crush": "Words: TestU01's Crush",
    "practrand": "Words: PractRand",
    "dieharder": "Words: dieharder",
    "values": "Samples: every law",
    "correlations": "Samples: correlation",
    "masks": "Zeros of `sparse_`",
    "haar": "`orthogonal_`: Haar's law",
}


def outcomes(document: Document) -> Iterator[tuple[str, dict[str, Any]]]:
    """(group, outcome) of every p-value."""
    for name, group in document["groups"].items():
        for outcome in group.get("outcomes", ()):
            yield name, outcome


def failures(document: Document) -> list[str]:
    """The p-values below the threshold, and the tests without power."""
    every = list(outcomes(document))
    limit = threshold(len(every))
    failed = [
        f"{group}: {one['subject']}, {one['test']}: p = {one['p']:.2g}"
        for group, one in every
        if not one["p"] >= limit
    ]
    idle = document["groups"].get("power", {}).get("without_power", [])
    return failed + [f"power: {test} rejects no broken sampler" for test in idle]


def count(samples: int | None) -> str:
    if samples is None:
        return ""
    power = samples.bit_length() - 1
    return f"2^{power}" if samples == 1 << power else f"{samples}"


def _by_subject(group: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for one in group["outcomes"]:
        found.setdefault(one["subject"], []).append(one)
    return found


def _rows(group: dict[str, Any]) -> Iterator[list[str]]:
    for subject, found in _by_subject(group).items():
        least = min(found, key=lambda one: one["p"])
        sizes = dict.fromkeys(count(one["samples"]) for one in found)
        listed = [f"{one['test']} {one['p']:.2g}" for one in found] if len(found) <= LISTED else []
        yield [
            subject,
            ", ".join(size for size in sizes if size),
            str(len(found)),
            f"{least['p']:.2g}",
            least["test"],
            "; ".join(listed),
        ]


def _section(name: str, group: dict[str, Any]) -> str:
    facts = group["environment"]
    made = f"{describe(facts)}, commit {facts['commit']}"
    made += " (modified)" if facts["modified"] else ""
    header = ["", "samples", "p-values", "least", "of", "all"]
    rows = list(_rows(group))
    if not any(row[-1] for row in rows):
        header, rows = header[:-1], [row[:-1] for row in rows]
    quick = " Quick run." if group["quick"] else ""
    return "\n".join(
        [
            f"## {TITLES[name]}\n",
            f"{made}, stream version {group['stream_version']}, sampling sources"
            f" {group['source']}, {group['seconds']:.0f} s.{quick}\n",
            table(header, rows),
        ]
    )


def _power(group: dict[str, Any]) -> str:
    limit = group["rejected_below"]
    rows = []
    for one in group["power"]:
        rejecting = sorted(one["rejecting"], key=lambda test: one["found"][test])
        given = len(one["found"])
        rows.append(
            [one["group"], one["broken"], f"{len(rejecting)} of {given}", "; ".join(rejecting)]
        )
    return "\n".join(
        [
            "## Broken samplers\n",
            f"Each is wrong in a known way and is given to the same tests at small sizes; they"
            f" reject it with p < {limit:.0e}. Every test rejects at least one"
            " (`tests/statistics/test_battery.py` checks it).\n",
            table(["group", "broken sampler", "rejected by", "tests"], rows),
        ]
    )


def page(document: Document) -> str:
    """The whole page, in Markdown."""
    every = list(outcomes(document))
    limit, failed = threshold(len(every)), failures(document)
    external = {
        name: version
        for group in document["groups"].values()
        for name, version in group["external"].items()
    }
    verdict = "It passes." if not failed else "**It fails**: " + "; ".join(failed) + "."
    parts = [
        "# The statistical battery\n",
        "`make battery` runs it; `python -m tests.battery GROUP ...` runs groups of it and merges"
        " their results into [battery.json](battery.json), which holds every p-value.\n",
        f"{len(every)} p-values. The battery fails where one is below"
        f" {document['false_failure']:g} / {len(every)} = {limit:.2g} (Bonferroni's rule), so"
        f" samplers that are right fail it with a probability of at most"
        f" {document['false_failure']:g} over the choice of the seeds. Seeds are fixed (0"
        f" throughout). The least p-value is {min(one['p'] for _, one in every):.2g}. {verdict}\n"
        if every
        else "",
        "Batteries of others: "
        + (", ".join(f"{name} {version}" for name, version in external.items()) or "none")
        + ". Their one-sided p-values are counted as 2 min(p, 1 - p).\n",
        "The streams of words, all drawn through the library's own keys and backends:\n",
        table(["stream", "words"], document["streams"].items()),
    ]
    for name in TITLES:
        if name in document["groups"]:
            parts.append(_section(name, document["groups"][name]))
    if "power" in document["groups"]:
        parts.append(_power(document["groups"]["power"]))
    return "\n".join(parts)
