"""The batteries of others, where they are installed: TestU01, PractRand, dieharder.

Each reads words from a pipe.  TestU01 is found as a shared library, or where TESTU01 says;
PractRand's RNG_test and dieharder on PATH.
"""

from __future__ import annotations

import contextlib
import ctypes.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tests.battery.policy import folded
from tests.battery.streams import Stream

TestP = tuple[str, float]


def testu01() -> str | None:
    """The path or name of TestU01's library."""
    return os.environ.get("TESTU01") or ctypes.util.find_library("testu01")


def versions() -> dict[str, str]:
    """Of the batteries that are installed."""
    found = {}
    if library := testu01():
        stated = re.search(rb"TestU01 ([\d.]+)", _bytes(library))
        found["TestU01"] = stated[1].decode() if stated else library
    for name, options in (("RNG_test", "-version"), ("dieharder", "-l")):
        if program := shutil.which(name):
            said = subprocess.run([program, options], capture_output=True, text=True).stdout
            version = re.search(r"version (\S+)", said)
            found[{"RNG_test": "PractRand"}.get(name, name)] = version[1] if version else "unknown"
    return found


def _bytes(library: str) -> bytes:
    """Of a library named by its path."""
    return Path(library).read_bytes() if Path(library).exists() else b""


def _feed(pipe: IO[bytes], stream: Stream, big_endian: bool) -> None:
    """Write parts until the reader has enough."""
    index = 0
    with contextlib.suppress(BrokenPipeError), pipe:
        while True:
            words = stream.part(index)
            pipe.write((words.byteswap() if big_endian else words).data)
            index += 1


def read_by(command: list[str], stream: Stream, big_endian: bool = False) -> str:
    """What a program prints that reads the stream from its standard input."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        feeder = threading.Thread(target=_feed, args=(reader.stdin, stream, big_endian))
        feeder.start()
        printed = reader.stdout.read().decode()
        reader.wait()
        feeder.join()
    return printed


def crush(library: str, battery: str, stream: Stream, *tests: int) -> list[TestP]:
    """TestU01's p-values, small where they are near 0 or near 1."""
    driver = [sys.executable, "-m", "tests.battery.testu01", library, battery]
    printed = read_by([*driver, *map(str, tests)], stream, big_endian=True)
    return [(name, folded(p)) for name, p in json.loads(printed.splitlines()[-1])]


def practrand(program: str, stream: Stream, size: str) -> list[TestP]:
    """PractRand's p-values after ``size`` bytes."""
    command = [program, "stdin32", "-tlmin", size, "-tlmax", size, "-a"]
    return list(practrand_lines(read_by(command, stream)))


def practrand_lines(printed: str) -> Iterator[TestP]:
    for line in printed.splitlines():
        found = re.match(r"\s+(\S.*?)\s+R=\s*\S+\s+p\s*[~=]+\s*(1-)?\s*([0-9.]+(?:e-?\d+)?)", line)
        if found:
            p = float(found[3])
            yield found[1], folded(1 - p if found[2] else p)


def dieharder(program: str, stream: Stream, test: int, *options: str) -> list[TestP]:
    """dieharder's p-values of one of its tests."""
    flags = [f for name in ("test_name", "ntuple", "pvalues") for f in ("-D", name)]
    command = [program, "-g", "200", "-d", str(test), "-c", ",", *flags, *options]
    found = []
    for line in read_by(command, stream).splitlines():
        name, ntuple, p = line.split(",")
        found.append((f"{name.strip()} {ntuple.strip()}", folded(float(p))))
    return found
