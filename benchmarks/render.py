"""A folder of JSON results as README.md, with charts where matplotlib is installed.

python -m benchmarks.render FOLDER
"""

from __future__ import annotations

import argparse
import json
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import tables, tables_models, targets
from benchmarks.charts import draw
from benchmarks.common import describe


def named(what: str, document: dict[str, Any]) -> str:
    """What was left out or failed, and why."""
    reasons: dict[str, list[str]] = {}
    for case, reason in document.get(KEYS[what], {}).items():
        reasons.setdefault(reason, []).append(case)
    lines = [f"- {reason}: {'; '.join(cases)}\n" for reason, cases in reasons.items()]
    return "".join([f"{what}:\n\n", *lines]) if lines else ""


KEYS = {"Not timed": "not_timed", "**Failed**": "failed"}
TABLES: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "single": ("Single fills", tables.single),
    "models": ("Whole models", tables_models.models),
    "model": ("The demo model", tables_models.model),
    "checkpoint": ("A checkpoint", tables_models.checkpoint),
    "shards": ("Parts of a sharded matrix", tables.shards),
    "threads": ("Threads", tables.threads),
    "launch": ("The host's share of a call on a GPU", tables.launch),
    "transformers": ("transformers' models from a config", tables_models.cases),
    "plan": ("Plans of large models", tables_models.cases),
    "fingerprint": ("Fingerprints", tables.fingerprints),
    "orthogonal": ("Orthogonal matrices", tables.orthogonal),
    "tuning": ("Choices of a launch", tables.tuning),
    "import": ("Import time", tables.imports),
}


def section(path: Path, document: dict[str, Any]) -> str:
    """The part of the page that shows a file."""
    facts = document["environment"]
    title, table = TABLES[document["benchmark"]]
    parts = [f"## {title} ({path.name})\n"]
    parts.append(f"{describe(facts)}, commit {facts['commit'] or 'unknown'}.\n")
    if document["quick"]:
        parts.append("**A quick run: its figures are no measurement.**\n")
    timed = document.get("results") != []  # a few benchmarks lay their figures out otherwise
    if timed:
        parts.append(table(document))
    parts += [named("Not timed", document), named("**Failed**", document)]
    image = path.with_suffix(".png")
    if timed and draw(document, image):
        parts.append(f"![{title}]({image.name})\n")
    return "\n".join(parts)


def main() -> None:
    """Render every JSON file of the folder; exit with an error where one cannot be."""
    options = argparse.ArgumentParser(description="Results as Markdown and a chart")
    options.add_argument("folder", type=Path)
    folder = options.parse_args().folder
    documents = {path: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    if not documents:
        raise SystemExit(f"no JSON results in {folder}")
    reached = targets.summary({document["benchmark"]: document for document in documents.values()})
    parts, failed = ["# Benchmark results\n", reached], []
    for path, document in documents.items():
        try:
            parts.append(section(path, document))
        except Exception:
            traceback.print_exc()
            failed.append(path.name)
    (folder / "README.md").write_text("\n".join(part for part in parts if part))
    print("\n\n".join(filter(None, (f"wrote {folder / 'README.md'}", reached))))
    if failed:
        raise SystemExit(f"not rendered: {', '.join(failed)}")


if __name__ == "__main__":
    main()
