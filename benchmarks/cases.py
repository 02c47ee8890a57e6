"""The cases of one benchmark: each is tried, and the file is written after each."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import torch

from benchmarks import common

Row = dict[str, Any]


class Cases:
    """What was timed, what was not, and why.

    A case that fails is named with its error, and those after it go on, unless the device has
    failed, whose errors stay.  ``options`` are those of ``common.parser``, whose seconds begin
    when this is made; ``facts`` are written beside the results.
    """

    def __init__(self, benchmark: str, options: argparse.Namespace, device: torch.device) -> None:
        self.facts: Row = {}
        self.skipped: dict[str, str] = {}
        self.failed: dict[str, str] = {}
        self.results: list[Row] = []
        self.quick: bool = options.quick
        self._broken = False
        self._path, self._seconds = options.json, options.seconds
        self._end = time.monotonic() + options.seconds
        self._head: Row = {
            "benchmark": benchmark,
            "environment": common.environment(device),
            "quick": options.quick,
        }

    def announce(self) -> None:
        """The machine and the versions, on the terminal."""
        print(common.describe(self._head["environment"]), flush=True)

    def run(self, case: str, work: Callable[[], tuple[Row, str]]) -> None:
        """Keep the row that ``work`` returns, and print the lines that it returns beside it."""
        if self._broken:
            self.skipped[case] = "the device had failed"
        elif time.monotonic() >= self._end:
            self.skipped[case] = f"the {self._seconds} s of this benchmark were over"
        else:
            try:
                row, lines = work()
            except torch.OutOfMemoryError:
                self.skipped[case] = "out of memory"
                torch.cuda.empty_cache()
            except Exception as error:
                traceback.print_exc()
                self.failed[case] = common.reason(error)
                self._broken = isinstance(error, torch.AcceleratorError)
            else:
                print(lines, flush=True)
                self.results.append(row)
        self._write()

    def _write(self) -> None:
        outcome = {"not_timed": self.skipped, "failed": self.failed, "results": self.results}
        common.write_json(self._path, {**self._head, **self.facts, **outcome})

    def conclude(self) -> None:
        """Print what was left out; exit with an error where a case failed."""
        for case, reason in self.skipped.items():
            print(f"not timed: {case}: {reason}")
        if self.failed:
            cases = (f"{case}: {reason}" for case, reason in self.failed.items())
            sys.exit("\n".join(["failed:", *cases]))
