"""``tritoninit plan``, ``init`` and ``verify``: what the command line does and prints."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch

from tritoninit.adapters.transformers import config_for
from tritoninit.checkpoint.contents import Contents, contents_of
from tritoninit.checkpoint.shards import divide
from tritoninit.checkpoint.verify import Difference, stated_metadata, verify
from tritoninit.checkpoint.write import FolderError, metadata_difference, write
from tritoninit.cli import spec
from tritoninit.cli.plot import draw
from tritoninit.materialize import plan
from tritoninit.plan import print_table, readable_bytes
from tritoninit.progress import progress
from tritoninit.recording import RecordError
from tritoninit.stream import STREAM_VERSION, Key

SHOWN = 10  # differences that are printed


def run(options: argparse.Namespace) -> int:
    """Run one of the three; errors go to stderr without a traceback.

    Returns:
        0 on success; 1 where values differ, cannot be known or cannot be written; 2 where the
        arguments are wrong.
    """
    try:
        Key(options.seed)
    except ValueError as error:
        return _failed(options, error, 2)
    work = {"plan": run_plan, "init": run_init, "verify": run_verify}[options.command]
    try:
        status = work(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # The reader of stdout went away, as `head` does: nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except (spec.SpecError, FolderError) as error:
        return _failed(options, error, 2)
    except (RecordError, OSError, ValueError) as error:
        return _failed(options, error, 1)
    except Exception as error:
        return _failed(options, spec.described(error), 1)
    except KeyboardInterrupt:
        goes_on = "; the same command goes on where it was" if options.command == "init" else ""
        return _failed(options, f"interrupted{goes_on}", 130)


def _failed(options: argparse.Namespace, error: object, status: int) -> int:
    print(f"tritoninit {options.command}: {error}", file=sys.stderr)
    return status


def _dtype(options: argparse.Namespace) -> torch.dtype | None:
    return None if options.dtype is None else getattr(torch, options.dtype)


def _built(options: argparse.Namespace) -> spec.Built:
    return spec.build(options.spec, _dtype(options))


def _contents(built: spec.Built, options: argparse.Namespace) -> Contents:
    return contents_of(built.model, options.seed, _dtype(options))


def run_plan(options: argparse.Namespace) -> int:
    """Print the plan; draw it if asked to."""
    built = _built(options)
    made = plan(built.model, options.seed, dtype=_dtype(options))
    if options.plot:
        _draw(_contents(built, options), options)
    if options.json:
        print(made.to_json())
    else:
        print_table(made.rows(), made.totals())
    return 0


def _draw(contents: Contents, options: argparse.Namespace) -> None:
    try:
        draw(contents, f"{options.spec}, seed {options.seed}", Path(options.plot))
    except ImportError as error:
        raise spec.SpecError(f"--plot needs matplotlib: {error}") from None


def run_init(options: argparse.Namespace) -> int:
    """Write the checkpoint."""
    start = time.perf_counter()
    built = _built(options)
    contents = _contents(built, options)
    layout = divide(contents, options.max_shard_size)
    folder = Path(options.out)
    config = None
    if built.config is not None:
        config = config_for(built.config, options.dtype)
    with progress(layout.nbytes, "init") as advance:
        done = write(contents, layout, folder, config, options.jobs, advance)
    seconds = time.perf_counter() - start
    result = {
        "out": str(folder),
        **_facts(contents, options),
        "files": layout.files,
        "written": done.written,
        "kept": done.kept,
        "seconds": seconds,
    }
    if options.json:
        print(json.dumps(result))
        return 0
    kept = f", {len(done.kept)} of them complete before" if done.kept else ""
    files = f"{len(layout.files)} file{'s' if len(layout.files) > 1 else ''}"
    print(
        f"{_size(contents)} in {files}{kept}, {seconds:.1f} s, in {folder}\n"
        f"seed {options.seed}, stream version {STREAM_VERSION}"
    )
    return 0


def run_verify(options: argparse.Namespace) -> int:
    """Compare; 1 if anything differs."""
    start = time.perf_counter()
    folder = Path(options.dir)
    if not folder.is_dir():
        raise FolderError(f"there is no folder {folder}")
    contents = _contents(_built(options), options)
    with progress(contents.nbytes, "verify") as advance:
        found = list(verify(contents, folder, advance))
    seconds = time.perf_counter() - start
    note = _note(contents, folder) if found else ""
    if options.json:
        result = {
            "dir": str(folder),
            **_facts(contents, options),
            "equal": not found,
            "differences": [asdict(difference) for difference in found],
            "seconds": seconds,
        }
        print(json.dumps(result))
    elif not found:
        print(f"{_size(contents)} equal, bit for bit, {seconds:.1f} s")
    else:
        print(_report(found, contents, note), file=sys.stderr)
    return 1 if found else 0


def _facts(contents: Contents, options: argparse.Namespace) -> dict[str, object]:
    return {
        "seed": options.seed,
        "stream_version": STREAM_VERSION,
        "tensors": len(contents.tensors),
        "elements": contents.numel,
        "bytes": contents.nbytes,
    }


def _size(contents: Contents) -> str:
    count = len(contents.tensors)
    return (
        f"{count} tensor{'' if count == 1 else 's'}, {contents.numel:,} elements,"
        f" {readable_bytes(contents.nbytes)}"
    )


def _note(contents: Contents, folder: Path) -> str:
    """What the files say of themselves, where that explains a difference."""
    stated = stated_metadata(folder)
    known = {k: v for k, v in contents.metadata(()).items() if k in stated and k != "plan"}
    reason = metadata_difference(stated, known)
    return f"the checkpoint says of itself that {reason}" if reason else ""


def _report(found: list[Difference], contents: Contents, note: str) -> str:
    count = "1 difference" if len(found) == 1 else f"{len(found)} differences"
    lines = [f"tritoninit verify: {count}, in {len(contents.tensors)} tensors"]
    if note:
        lines.append(note)
    lines += [f"  {difference}" for difference in found[:SHOWN]]
    if len(found) > SHOWN:
        lines.append(f"  and {len(found) - SHOWN} more")
    return "\n".join(lines)
