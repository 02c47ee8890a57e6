"""What every benchmark shares: its arguments, the description of the machine, its JSON file."""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parent.parent
PACKAGES = ("tritoninit", "torch", "triton", "numba", "numpy", "jax", "flag_gems")


def parser(description: str) -> argparse.ArgumentParser:
    """The arguments that all benchmarks of fills take."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument(
        "--device",
        default="cuda" if torch.cuda.is_available() else "cpu",
        choices=("cpu", "cuda"),
        help="default: cuda where there is one",
    )
    options.add_argument("--threads", type=positive, help="CPU threads; default: torch's own")
    options.add_argument("--json", type=Path, help="also write the results to this file")
    options.add_argument("--quick", action="store_true", help="small sizes, the fewest rounds")
    options.add_argument(
        "--seconds",
        type=positive,
        default=3600,
        help="time nothing more after so many seconds; what was left out is named",
    )
    return options


def memory(device: torch.device) -> int:
    """Bytes that a benchmark may take: of the device's memory what is free now."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return int(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def positive(text: str) -> int:
    """An int of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected an integer of at least 1, got {text}")
    return value


def apply(options: argparse.Namespace) -> torch.device:
    """Set the number of threads and name the device."""
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    return torch.device(options.device)


def _output(*command: str) -> str | None:
    try:
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return run.stdout.strip()


def cpu_model() -> str:
    """The processor's name."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE)
        if found:
            return found[1]
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _gpu() -> dict[str, Any] | None:
    if not torch.cuda.is_available():
        return None
    facts = torch.cuda.get_device_properties(0)
    return {
        "name": facts.name,
        "capability": f"{facts.major}.{facts.minor}",
        "multiprocessors": facts.multi_processor_count,
        "memory_bytes": facts.total_memory,
        "cuda": torch.version.cuda or torch.version.hip,
        "driver": _output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
    }


def environment(device: torch.device) -> dict[str, Any]:
    """Everything about the machine that a figure depends on."""
    commit = _output("git", "rev-parse", "HEAD")
    return {
        "device": device.type,
        "gpu": _gpu(),
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {package: _version(package) for package in PACKAGES},
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": commit,
        "modified": bool(_output("git", "status", "--porcelain")) if commit else None,
    }


def reason(error: BaseException) -> str:
    """One line of what went wrong."""
    first = str(error).strip().split("\n")[0].split(". ")[0]
    return first or type(error).__name__


def device_name(facts: dict[str, Any]) -> str:
    """The name of the GPU where one was used, else of the processor."""
    return str(facts["gpu"]["name"] if facts["device"] == "cuda" else facts["cpu"])


def describe(facts: dict[str, Any]) -> str:
    """One line for the head of a table."""
    versions = [f"{name} {version}" for name, version in facts["versions"].items() if version]
    return ", ".join(
        (
            device_name(facts),
            f"{facts['cores']} cores",
            f"{facts['threads']} threads",
            f"python {facts['python']}",
            *versions,
            facts["date"],
        )
    )


def write_json(path: Path | None, document: dict[str, Any]) -> None:
    """Write the document whole or not at all."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(document, indent=1) + "\n")
    temporary.replace(path)


def results_name() -> str:
    """The name of this machine's folder of results: device and date."""
    facts = environment(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    name = re.sub(r"[^a-z0-9]+", "-", device_name(facts).lower()).strip("-")
    return f"{name}-{facts['date'][:10]}"


if __name__ == "__main__":
    print(results_name())
