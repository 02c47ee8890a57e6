"""Run the battery, merge the results with those of earlier runs, and judge them.

python -m tests.battery [GROUP ...] [--quick] [--results FOLDER]

Without GROUPs all are run but ``crush``, which takes half an hour, and those whose program is
not installed.  A group's results replace its earlier ones in FOLDER/battery.json;
FOLDER/README.md is the table of all.  Exits with 1 where a p-value is below the threshold.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import environment, write_json
from tests.battery import external, groups_words
from tests.battery.groups_correlation import correlations
from tests.battery.groups_haar import haar
from tests.battery.groups_masks import masks
from tests.battery.groups_values import values
from tests.battery.policy import FALSE_FAILURE, Group, threshold
from tests.battery.power import GROUPS as POWER
from tests.battery.power import REJECTED, power, without_power
from tests.battery.render import failures, page
from tests.battery.streams import all_streams
from tritoninit import STREAM_VERSION
from tritoninit.backends.numba_compile import source_hash

RESULTS = Path(__file__).parent / "results"
GROUPS: dict[str, Group] = {
    "words": groups_words.words,
    "smallcrush": groups_words.small_crush,
    "practrand": groups_words.practrand,
    "dieharder": groups_words.dieharder,
    "crush": groups_words.crush,
    "values": values,
    "correlations": correlations,
    "masks": masks,
    "haar": haar,
}


def default_groups() -> list[str]:
    """All that can be run in minutes."""
    missing = {"crush"}
    if external.testu01() is None:
        missing.add("smallcrush")
    for group, program in (("practrand", "RNG_test"), ("dieharder", "dieharder")):
        if shutil.which(program) is None:
            missing.add(group)
    return [*(group for group in GROUPS if group not in missing), "power"]


def facts(quick: bool) -> dict[str, Any]:
    """What the results of a group depend on."""
    found = environment(torch.device("cpu"))
    found["versions"]["scipy"] = importlib.metadata.version("scipy")
    return {
        "environment": found,
        "external": external.versions(),
        "stream_version": STREAM_VERSION,
        "source": source_hash(),
        "quick": quick,
    }


def run(group: str, quick: bool) -> dict[str, Any]:
    """The results of one group."""
    begun, result = time.time(), facts(quick)
    print(f"== {group}", flush=True)
    if group == "power":
        tried = [one for name in POWER for one in power(name)]
        result["power"] = [dataclasses.asdict(one) | {"rejecting": one.rejecting} for one in tried]
        result["without_power"] = without_power(tried)
        result["rejected_below"] = REJECTED
    else:
        outcomes = list(GROUPS[group](quick))
        result["outcomes"] = [dataclasses.asdict(outcome) for outcome in outcomes]
        least = min(outcomes, key=lambda outcome: outcome.p)
        print(f"{len(outcomes)} p-values, the least {least.p:.2g}: {least.subject}, {least.test}")
    result["seconds"] = round(time.time() - begun, 1)
    return result


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join([*GROUPS, "power"]))
    options.add_argument("--quick", action="store_true", help="16 or more times fewer samples")
    options.add_argument("--results", type=Path, help=f"default: {RESULTS}; none if --quick")
    chosen = options.parse_args()
    groups = chosen.groups or default_groups()
    if unknown := set(groups) - {*GROUPS, "power"}:
        options.error(
            f"no group {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}, power"
        )
    torch.set_num_threads(1)  # the battery runs a fill on each core
    folder = chosen.results or (None if chosen.quick else RESULTS)
    document: dict[str, Any] = {"groups": {}}
    if folder and (folder / "battery.json").exists():
        document = json.loads((folder / "battery.json").read_text())
    for group in groups:
        document["groups"][group] = run(group, chosen.quick)
        document["streams"] = {stream.name: stream.made for stream in all_streams()}
        document["false_failure"] = FALSE_FAILURE
        if folder:
            write_json(folder / "battery.json", document)
            (folder / "README.md").write_text(page(document))
    failed = failures(document)
    total = sum(len(group.get("outcomes", ())) for group in document["groups"].values())
    print(f"{total} p-values, threshold {threshold(total):.2g}, {len(failed)} failed")
    for line in failed:
        print(line)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
