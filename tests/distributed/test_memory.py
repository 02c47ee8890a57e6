"""Materializing a rank's shards takes the memory of the shards."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ALLOWED = 4 << 20  # bytes beside the shards: plan, code loaded late, allocator; 0.4 MiB measured

CODE = """
import sys, torch, tritoninit, torch.distributed as dist
from pathlib import Path
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

def status(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])

def sharded(layers, rows):
    with torch.device("meta"):
        model = nn.Sequential(*(nn.Linear(4096, rows) for _ in range(layers)))
    for layer in model:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model

dist.init_process_group("fake", rank=int(sys.argv[2]), world_size=8)
mesh = init_device_mesh("cpu", (8,))
tritoninit.materialize(sharded(2, 64))
model = sharded(16, int(sys.argv[1]))
before = status("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
tritoninit.materialize(model)
peak = status("VmHWM") - before
held = sum(p.to_local().untyped_storage().nbytes() for p in model.parameters())
whole = sum(p.numel() * p.itemsize for p in model.parameters())
print(peak, held, whole)
"""


@pytest.mark.parametrize(("rows", "rank"), [(8192, 3), (8191, 7)], ids=["even", "uneven"])
def test_peak_memory_is_the_shards(rows, rank):
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(rows), str(rank)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    peak, held, whole = map(int, done.stdout.split())
    assert whole > 1.99 * 2**30
    assert held == pytest.approx(whole / 8, rel=0.01)
    assert held <= peak + (1 << 20)
    assert peak < held + ALLOWED, f"{(peak - held) / 2**20:.1f} MiB beside {held / 2**20:.0f} MiB"
