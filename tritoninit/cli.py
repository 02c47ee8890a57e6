"""The command ``tritoninit``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

DESCRIPTION = """\
Initial weights that are the same bits on CPU, on any GPU and under any sharding.

  tritoninit demo      build a half-billion-parameter model on the meta device, fill it,
                       and time it beside torch.nn.init
"""

DEMO = """\
Builds a Llama-style decoder on the meta device, where tensors have shapes but no memory, and
prints the plan: what every parameter and buffer will hold.  Then it allocates and fills the
model, does the same with torch.nn.init, and compares a sample of elements with an evaluation of
the stream in plain integers.  Speeds are printed only if every one of them is equal.

The same seed gives the same weights on every device:

  tritoninit demo --seed 1
  tritoninit demo --device cpu --dtype bfloat16 --seed 1
  tritoninit demo --layers 2 --dim 256 --json       a small one, for scripts
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the result is the exit status."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("tritoninit", description=DESCRIPTION, formatter_class=plain)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="fill a half-billion-parameter model from meta",
        description=DEMO,
        formatter_class=plain,
    )
    from tritoninit.demo import add_arguments, run

    add_arguments(demo)
    return run(parser.parse_args(arguments))
