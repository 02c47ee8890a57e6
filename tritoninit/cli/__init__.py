"""The command ``tritoninit``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tritoninit.checkpoint.shards import parse_size

DTYPES = ("float32", "bfloat16", "float16", "float64")

DESCRIPTION = """\
Initial weights that are the same bits on CPU, on any GPU and under any sharding.

  tritoninit plan SPEC                    what every parameter and buffer will hold
  tritoninit init SPEC --out DIR          write a checkpoint that from_pretrained(DIR) loads
  tritoninit verify SPEC DIR              compute it again and compare every element
  tritoninit demo                         fill a half-billion-parameter model from meta, and time
                                          it beside torch.nn.init

SPEC is one of
  module:function     called without arguments, on the meta device, to build the model; modules in
                      the working directory are found
  a folder or file    with a Hugging Face config.json; the weights are not needed

`tritoninit COMMAND --help` shows examples.  The exit status is 0 on success, 1 where values differ
or cannot be known, 2 on wrong arguments.
"""

PLAN = """\
Builds the model on the meta device, where tensors have shapes but no memory, runs its own init
code on stand-ins, and prints what every parameter and buffer will hold.  Nothing is allocated.

  tritoninit plan ./llama/config.json
  tritoninit plan mymodel:build --seed 1
  tritoninit plan tritoninit.demo_model:build --plot spectrum.png
  tritoninit plan mymodel:build --json > plan.json      read by tritoninit.plan.Plan.from_json
"""

INIT = """\
Writes the model's initial values as safetensors files of at most --max-shard-size, with Hugging
Face's index, and the config if SPEC has one.  The model is never in memory: its tensors are
computed in pieces of 32 MiB.

  tritoninit init ./llama --seed 0 --out ./llama-seed-0
  tritoninit init ./llama --out ./small-files --dtype bfloat16 --max-shard-size 256MB --jobs 4
  tritoninit init mymodel:build --out ./checkpoint --json

If it is killed, run the same command again: files that are complete are kept, and the result is
the same byte for byte.  A folder that holds another checkpoint is an error.
"""

VERIFY = """\
Computes the model's initial values again and compares them with the files in DIR, every element,
bit for bit.  Neither is ever in memory as a whole.  Names the tensors that differ, and of each the
first index with both values.

  tritoninit verify ./llama ./llama-seed-0 --seed 0
  tritoninit verify mymodel:build ./checkpoint --dtype bfloat16 --json

DIR may have been written by other software and divided into files in any way.  The exit status is
1 if anything differs.
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

    def command(name: str, title: str, description: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=title, description=description, formatter_class=plain)

    _plan(command("plan", "print what every tensor will hold", PLAN))
    _init(command("init", "write a checkpoint of initial values", INIT))
    _verify(command("verify", "compare a checkpoint with what it should hold", VERIFY))
    demo = command("demo", "fill a half-billion-parameter model from meta", DEMO)
    from tritoninit.cli.demo import add_arguments

    add_arguments(demo)
    options = parser.parse_args(arguments)
    if options.command == "demo":
        from tritoninit.cli.demo import run
    else:
        from tritoninit.cli.commands import run
    return run(options)


def _plan(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument(
        "--plot",
        metavar="FILE.png",
        help="draw the standard deviation of every tensor against its layer, as expected and as"
        " measured (needs matplotlib)",
    )
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")


def _init(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument(
        "--out", type=_folder, required=True, metavar="DIR", help="the folder to write"
    )
    parser.add_argument(
        "--max-shard-size",
        type=_size,
        default="5GB",
        metavar="SIZE",
        help="bytes of tensors in one file, such as 256MB or 1GiB (default: 5GB); a larger tensor"
        " has a file of its own",
    )
    parser.add_argument(
        "--jobs",
        type=_positive,
        default=2,
        metavar="N",
        help="files written at once; each takes 32 MiB of memory (default: 2)",
    )
    parser.add_argument("--json", action="store_true", help="print the result alone, as JSON")


def _verify(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("dir", type=_folder, metavar="DIR", help="the folder of safetensors files")
    parser.add_argument("--json", action="store_true", help="print the result alone, as JSON")


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", metavar="SPEC", help="module:function, or a config.json's place")
    parser.add_argument("--seed", type=int, default=0, help="of all values (default: 0)")
    parser.add_argument(
        "--dtype", choices=DTYPES, help="of the parameters (default: what SPEC gives them)"
    )


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _positive(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected an integer of at least 1, got {text}")
    return value


def _folder(text: str) -> str:
    if not text:  # as an unset variable of a shell gives; it would be the working directory
        raise argparse.ArgumentTypeError("expected a folder, got ''")
    return text
