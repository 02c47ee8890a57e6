"""Every architecture of transformers under record(), beside its own initial values on the CPU.

    python -m benchmarks.sweep_transformers --all --out sweep.json
    python -m benchmarks.sweep_transformers llama mamba2

An architecture is *equal* where every tensor is filled, those without a draw hold exactly what
transformers gives them, and those with one agree in mean, standard deviation and distribution
(two-sample Kolmogorov-Smirnov test).  It is *refused* where tritoninit names what it cannot fill.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from scipy import stats
from torch import Tensor, nn

import tritoninit
from benchmarks.transformers_models import architectures, buildable, transformers
from tritoninit.plan import Fill
from tritoninit.plan.document import encoded
from tritoninit.recording import RecordError

LIMIT = 300_000_000  # elements up to which a model is filled and compared
SAMPLE = 20_000  # elements of a tensor that are compared
LEVEL = 1e-9  # significance of one comparison; a sweep makes some 100,000
SIGMAS = 6.2  # the same for the mean
SECONDS = 240


def is_random(fill: Fill) -> bool:
    """Whether any key occurs in it."""

    def has_key(value: Any) -> bool:
        if isinstance(value, dict):
            return value.get("key") is not None or any(map(has_key, value.values()))
        return isinstance(value, list) and any(map(has_key, value))

    return has_key(encoded(fill))


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter and buffer by name."""
    return {n: t.detach() for n, t in (*model.named_parameters(), *model.named_buffers())}


def disagreement(ours: Tensor, theirs: Tensor) -> str | None:
    """How two tensors of random values differ, or None."""
    a, b = (t.flatten()[:: max(1, t.numel() // SAMPLE)].double() for t in (ours, theirs))
    if not (a.isfinite().all() and b.isfinite().all()):
        return "not finite"
    spread = math.sqrt((a.var(correction=0) + b.var(correction=0)).item() / max(1, a.numel()))
    if a.numel() > 30 and abs((a.mean() - b.mean()).item()) > SIGMAS * spread + 1e-12:
        return f"mean {a.mean():.4g} beside {b.mean():.4g}"
    p = stats.ks_2samp(a.numpy(), b.numpy()).pvalue
    if p < LEVEL:
        return f"std {a.std():.4g} beside {b.std():.4g}, KS p {p:.1e}"
    return None


def compare(model: nn.Module, plan: tritoninit.plan.Plan, reference: nn.Module) -> dict[str, Any]:
    """What differs between a filled model and the reference, by tensor."""
    ours, theirs = tensors_of(model), tensors_of(reference)
    wrong: dict[str, str] = {}
    if ours.keys() != theirs.keys():
        wrong["names"] = str(sorted(ours.keys() ^ theirs.keys())[:5])
    counts: Counter[str] = Counter()
    seen: Counter[tuple[str, str]] = Counter()
    planned = {fill.name: fill for fill in plan.fills}
    for name, expected in theirs.items():
        value = ours.get(name)
        if value is None:
            continue
        fill = planned.get(name)
        if value.is_meta:
            wrong[name] = "still on meta"
        elif value.shape != expected.shape or value.dtype != expected.dtype:
            wrong[name] = f"{value.dtype} {tuple(value.shape)}"
        elif fill is None or not is_random(fill):
            counts["real" if fill is None else "deterministic"] += 1
            if not torch.equal(value.nan_to_num(7.0), expected.nan_to_num(7.0)):
                wrong[name] = f"deterministic, differs: {fill and fill.recipe}"[:200]
        else:
            counts["random"] += 1
            kind = str(fill.shape), fill.recipe
            seen[kind] += 1
            if seen[kind] <= 2 and (found := disagreement(value, expected)):
                wrong[name] = f"{found}: {fill.recipe}"[:200]
    return {"counts": dict(counts), "wrong": wrong}


def examined(config_class: type, classes: list[type]) -> dict[str, Any]:
    """The outcome for one architecture."""
    built = buildable(config_class, classes)
    if isinstance(built, str):
        return {"outcome": "does not build on meta", "reason": built}
    model_class, config, size = built
    result: dict[str, Any] = {"class": model_class.__name__, "elements": size}
    try:
        with tritoninit.record():
            model = model_class(copy.deepcopy(config))
        if size > LIMIT:
            plan = tritoninit.plan(model)
            return {**result, "outcome": "planned", "tensors": len(plan.fills)}
        plan = tritoninit.materialize(model, "cpu", seed=0)
    except RecordError as error:
        return {**result, "outcome": "refused", "reason": str(error)[:2000]}
    torch.manual_seed(0)
    reference = model_class(copy.deepcopy(config))
    found = compare(model, plan, reference)
    whole = [fill.name for fill in plan.fills if "computed(" in fill.recipe and is_random(fill)]
    outcome = "differs" if found["wrong"] else "equal"
    return {**result, "outcome": outcome, "tensors": len(plan.fills), "whole": whole[:5], **found}


def guarded(config_class: type, classes: list[type]) -> dict[str, Any]:
    """The outcome, also where something raises or takes too long."""

    def expire(*_: object) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    signal.signal(signal.SIGALRM, expire)
    signal.alarm(SECONDS)
    start = time.perf_counter()
    try:
        result = examined(config_class, classes)
    except Exception as error:
        where = traceback.format_exc().splitlines()[-12:]
        result = {"outcome": "error", "reason": f"{type(error).__name__}: {error}"[:800]}
        result["where"] = where
    finally:
        signal.alarm(0)
    return {**result, "seconds": round(time.perf_counter() - start, 2)}


def main() -> int:
    """Sweep, print and write; non-zero where an architecture is incomplete or differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", help="model types, such as llama")
    parser.add_argument("--all", action="store_true", help="every architecture")
    parser.add_argument("--out", type=Path, help="JSON of the results")
    given = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    warnings.simplefilter("ignore")
    results: dict[str, dict[str, Any]] = {}
    if not (given.all or given.kinds):
        parser.error("name model types, or give --all")
    for kind, config, classes in architectures(given.kinds):
        found = results[kind] = guarded(config, classes)
        shown = found.get("wrong") or found.get("reason", "")
        print(
            f"{kind:32}{found['outcome']:24}{found['seconds']:7.1f} s  {str(shown)[:300]}",
            flush=True,
        )
        counts = Counter(result["outcome"] for result in results.values())
        if given.out is not None:
            versions = {"torch": torch.__version__, "transformers": transformers.__version__}
            document = {**versions, "counts": dict(counts), "architectures": results}
            given.out.write_text(json.dumps(document, indent=1) + "\n")
    print(dict(counts))
    return int(any(counts[bad] for bad in ("differs", "error")))


if __name__ == "__main__":
    sys.exit(main())
