"""A model with every kind of stored tensor, and checkpoints of it."""

import itertools
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from torch import nn

from tests.unit.models import on_meta
from tritoninit.checkpoint.contents import contents_of
from tritoninit.checkpoint.shards import divide
from tritoninit.checkpoint.write import write

SHARD = 1000  # bytes
PIECE = 256  # bytes
CALLS = ("open", "write", "fsync", "replace")


class Mixed(nn.Module):
    """Views, ties, wide and narrow dtypes, constants, copies, a real buffer, an empty tensor."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 6, padding_idx=3)
        self.norm = nn.BatchNorm1d(6)
        self.turned = nn.Parameter(torch.empty(5, 9).t())
        self.brain = nn.Parameter(torch.empty(3, 4, 5, dtype=torch.bfloat16))
        self.orthogonal = nn.Parameter(torch.empty(7, 7))
        self.sparse = nn.Parameter(torch.empty(12, 10))
        self.diagonal = nn.Parameter(torch.empty(8, 8))
        self.wide = nn.Parameter(torch.empty(11, dtype=torch.float64))
        self.scale = nn.Parameter(torch.empty(()))
        self.nothing = nn.Parameter(torch.empty(0, 4))
        self.head = nn.Linear(6, 20)
        self.head.weight = self.embedding.weight
        self.register_buffer("mask", torch.empty(5, dtype=torch.bool))
        self.register_buffer("steps", torch.empty(4))
        self.register_buffer("real", torch.arange(6.0, device="cpu").reshape(2, 3).t())
        self.register_buffer("scratch", torch.empty(3), persistent=False)

    @torch.no_grad()
    def reset_parameters(self):
        nn.init.trunc_normal_(self.turned, std=0.02)
        nn.init.normal_(self.brain, std=0.1)
        self.brain[1] = 0.5
        self.brain[:, 2].uniform_(-1, 1)
        nn.init.orthogonal_(self.orthogonal)
        nn.init.sparse_(self.sparse, 0.4)
        nn.init.normal_(self.diagonal)
        self.diagonal.diagonal().fill_(2.0)
        nn.init.uniform_(self.wide)
        nn.init.normal_(self.scale)
        self.mask.zero_()
        self.steps.copy_(torch.linspace(0, 1, 4, device="cpu"))
        self.scratch.fill_(7)


def mixed():
    return on_meta(Mixed)


def stored_values(folder):
    """Every tensor of the folder, read by the safetensors package."""
    from safetensors.torch import load_file

    files = sorted(Path(folder).glob("*.safetensors"))
    return {name: tensor for file in files for name, tensor in load_file(file).items()}


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def checkpoint(folder, seed=0, model=None, shard=SHARD, **options):
    contents = contents_of(model or mixed(), seed)
    options = {"config": b"{}\n", "piece_bytes": PIECE, **options}
    return write(contents, divide(contents, shard), Path(folder), **options)


def _dying_call(name, call, calls, at, *args):
    if next(calls) == at:
        if name == "write":
            call(args[0], args[1][: len(args[1]) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    return call(*args)


def _dying(folder, at):
    """Write the checkpoint; SIGKILL this process at its ``at``-th call of the system."""
    calls = itertools.count(1)
    for name in CALLS:
        setattr(os, name, partial(_dying_call, name, getattr(os, name), calls, at))
    checkpoint(folder)


def serve():
    """Read lines of a folder and a number, let a fork of this process die there, say how it did.

    Importing and compiling take seconds, which the forks are spared.
    """
    with tempfile.TemporaryDirectory() as folder:
        checkpoint(folder)
    for line in sys.stdin:
        folder, at = line.rsplit(maxsplit=1)
        child = os.fork()
        if not child:
            _dying(folder, int(at))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


@contextmanager
def mortals():
    """A function (folder, at) that gives the exit code of a process killed at its at-th call."""
    command = [sys.executable, "-c", "from tests.unit.stored import serve; serve()"]
    root = Path(__file__).parents[2]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=root) as process:

        def write_and_die(folder, at):
            process.stdin.write(f"{folder} {at}\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield write_and_die
        process.stdin.close()
