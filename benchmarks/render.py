"""A folder of JSON results as README.md, with charts where matplotlib is installed.

python -m benchmarks.render FOLDER
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import tables, tables_models
from benchmarks.charts import draw
from benchmarks.common import describe


def not_timed(document: dict[str, Any]) -> str:
    """What was left out, and why."""
    reasons: dict[str, list[str]] = {}
    for what, reason in document.get("not_timed", {}).items():
        reasons.setdefault(reason, []).append(what)
    lines = [f"- {reason}: {'; '.join(names)}\n" for reason, names in reasons.items()]
    return "".join(["Not timed:\n\n", *lines]) if lines else ""


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
    "import": ("Import time", tables.imports),
}


def main() -> None:
    """Render every JSON file of the folder."""
    options = argparse.ArgumentParser(description="Results as Markdown and a chart")
    options.add_argument("folder", type=Path)
    folder = options.parse_args().folder
    parts = ["# Benchmark results\n"]
    for path in sorted(folder.glob("*.json")):
        document = json.loads(path.read_text())
        facts = document["environment"]
        title, table = TABLES[document["benchmark"]]
        parts.append(f"## {title} ({path.name})\n")
        parts.append(f"{describe(facts)}, commit {facts['commit']}.\n")
        if document["quick"]:
            parts.append("**A quick run: its figures are no measurement.**\n")
        parts.append(table(document))
        parts.append(not_timed(document))
        image = path.with_suffix(".png")
        if draw(document, image):
            parts.append(f"![{title}]({image.name})\n")
    if len(parts) == 1:
        raise SystemExit(f"no JSON results in {folder}")
    (folder / "README.md").write_text("\n".join(parts))
    print(f"wrote {folder / 'README.md'}")


if __name__ == "__main__":
    main()
