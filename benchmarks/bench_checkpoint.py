"""A checkpoint of a model of 1.24 B parameters: time, memory, and that it survives being killed.

    python -m benchmarks.bench_checkpoint [--quick] [--folder DIR]

``tritoninit init`` and ``verify`` run in processes of their own.  Memory is the most that was
resident during the command less what was resident after all imports.  The peer is transformers'
own way on the CPU: ``from_config``, then ``save_pretrained``.  Needs 6 GB of disk, which are given
back.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks import common

SPEC = common.ROOT / "benchmarks" / "llama-1b"
SHARD = "256MB"
MOST_BYTES = 1 << 30  # of memory, above what is resident after the imports
KILLS = 5
CHILD = """
import json, sys, time, torch, transformers
from transformers.models.llama import modeling_llama
import tritoninit.cli.commands
from tritoninit.cli import main

def status(name):
    for line in open("/proc/self/status"):
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024

before = status("VmRSS")
start = time.perf_counter()
code = main(sys.argv[1:])
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "memory_bytes": status("VmHWM") - before, "code": code}))
"""
PEER = """
import json, sys, time, torch, transformers
from transformers.models.llama import modeling_llama
config = transformers.AutoConfig.from_pretrained(sys.argv[1])
start = time.perf_counter()
model = transformers.AutoModelForCausalLM.from_config(config)
made = time.perf_counter()
model.save_pretrained(sys.argv[2], max_shard_size=sys.argv[3])
done = time.perf_counter()
print(json.dumps({"init_seconds": made - start, "save_seconds": done - made}))
"""


def child(*arguments: str) -> dict[str, Any]:
    """A command of tritoninit, with its time and memory."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True, cwd="/"
    )
    if not done.stdout:
        sys.exit(done.stderr)
    result, measured = map(json.loads, done.stdout.splitlines())
    return {**result, "seconds": measured["seconds"], **measured}


def init(folder: Path, spec: Path) -> list[str]:
    """The arguments of ``tritoninit init``."""
    size = ("--max-shard-size", SHARD)
    return ["init", str(spec), "--seed", "0", "--out", str(folder), *size, "--json"]


def digests(folder: Path) -> dict[str, str]:
    """The hash of every file."""
    found = {}
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def killed(folder: Path, spec: Path, choice: random.Random, seconds: float) -> int:
    """Kill ``init`` KILLS times within the time that it takes, then let it end.

    Returns how many of the runs were killed.
    """
    kills = 0
    for _ in range(KILLS):
        command = [sys.executable, "-c", CHILD, *init(folder, spec)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd="/")
        while not folder.exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(choice.uniform(0, seconds / 2))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    child(*init(folder, spec))
    return kills


def flip(folder: Path, choice: random.Random) -> tuple[str, int]:
    """Flip one bit of one file; its name and the place of the byte."""
    path = choice.choice(sorted(folder.glob("*.safetensors")))
    with path.open("r+b") as file:
        head = int.from_bytes(file.read(8), "little") + 8
        place = choice.randrange(head, path.stat().st_size)
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ 1 << choice.randrange(8)]))
    return path.name, place


def quick_spec(folder: Path) -> Path:
    """The same config with two layers and a small vocabulary."""
    config = json.loads((SPEC / "config.json").read_text())
    config.update(num_hidden_layers=2, vocab_size=8192)
    (folder / "config").mkdir()
    (folder / "config" / "config.json").write_text(json.dumps(config))
    return folder / "config"


def run(folder: Path, quick: bool) -> dict[str, Any]:
    """Everything, in a folder that is empty before and after."""
    spec = quick_spec(folder) if quick else SPEC
    rounds = 1 if quick else 3
    undisturbed, other = folder / "undisturbed", folder / "other"
    child(*init(other, spec))  # compiles the kernels
    written = []
    for _ in range(rounds):
        shutil.rmtree(other)
        written.append(child(*init(other, spec)))
    other.rename(undisturbed)
    seconds = statistics.median(run["seconds"] for run in written)
    verified = [child("verify", str(spec), str(undisturbed), "--json") for _ in range(rounds)]
    if not all(run["equal"] for run in verified):
        sys.exit(f"verify found differences: {verified[-1]['differences'][:3]}")
    choice = random.Random(0)
    kills = killed(other, spec, choice, seconds)
    identical = digests(other) == digests(undisturbed)
    shutil.rmtree(other)
    flipped = flip(undisturbed, choice)
    broken = child("verify", str(spec), str(undisturbed), "--json")
    shutil.rmtree(undisturbed)
    peers = []
    for _ in range(rounds):
        command = [sys.executable, "-c", PEER, str(spec), str(other), SHARD]
        peer = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/")
        peers.append(json.loads(peer.stdout))
        shutil.rmtree(other)
    return {
        "elements": written[0]["elements"],
        "bytes": written[0]["bytes"],
        "files": len(written[0]["files"]),
        "shard": SHARD,
        "init_seconds": [run["seconds"] for run in written],
        "init_memory_bytes": max(run["memory_bytes"] for run in written),
        "verify_seconds": [run["seconds"] for run in verified],
        "verify_memory_bytes": max(run["memory_bytes"] for run in verified),
        "kills": kills,
        "identical_after_kills": identical,
        "flipped": {"file": flipped[0], "byte": flipped[1]},
        "found": broken["differences"],
        "transformers": peers,
    }


def main() -> None:
    """Measure, print, and write the file; exit with 1 where a promise is broken."""
    parser = argparse.ArgumentParser(description="A checkpoint of 1.24 B parameters")
    parser.add_argument("--folder", type=Path, help="where; default: the system's temporary folder")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    parser.add_argument("--quick", action="store_true", help="a small model, once")
    options = parser.parse_args()
    facts = common.environment(torch.device("cpu"))
    print(common.describe(facts))
    folder = options.folder and options.folder.resolve()
    with tempfile.TemporaryDirectory(dir=folder) as folder:
        result = run(Path(folder), options.quick)
    mib = {k: result[f"{k}_memory_bytes"] / (1 << 20) for k in ("init", "verify")}
    init_s, verify_s = (statistics.median(result[f"{k}_seconds"]) for k in ("init", "verify"))
    peer = statistics.median(p["init_seconds"] for p in result["transformers"])
    saved = statistics.median(p["save_seconds"] for p in result["transformers"])
    print(
        f"{result['elements']:,} elements, {result['bytes'] / 1e9:.2f} GB, {result['files']} files"
    )
    print(f"tritoninit init               {init_s:7.2f} s  {mib['init']:7.1f} MiB")
    print(f"tritoninit verify             {verify_s:7.2f} s  {mib['verify']:7.1f} MiB")
    print(f"transformers from_config      {peer:7.2f} s")
    print(f"transformers save_pretrained  {saved:7.2f} s")
    print(f"killed {result['kills']} times: identical {result['identical_after_kills']}")
    print(f"one bit flipped: {result['found']}")
    broken = not result["identical_after_kills"] or len(result["found"]) != 1
    if max(mib.values()) * (1 << 20) > MOST_BYTES or broken:
        sys.exit("a promise is broken")
    common.write_json(
        options.json,
        {"benchmark": "checkpoint", "environment": facts, "quick": options.quick, **result},
    )


if __name__ == "__main__":
    main()
