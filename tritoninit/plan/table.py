"""A plan as a table for people."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable

from tritoninit.plan.entries import Fill


def headings(sharded: bool) -> tuple[str, ...]:
    """The headings of the table; ``sharded`` adds the placements."""
    placements = ("placements",) if sharded else ()
    return "name", "shape", "dtype", *placements, "recipe", "std", "bytes"


def table_row(fill: Fill, sharded: bool) -> tuple[str, ...]:
    """The cells of a fill's row in the table."""
    name = " = ".join((fill.name, *fill.aliases))
    std = "-" if fill.std is None else f"{fill.std:.6g}"
    placements = (str(fill.sharding or "-"),) if sharded else ()
    head = name, str(list(fill.shape)), fill.dtype
    return *head, *placements, fill.recipe, std, f"{fill.nbytes:,}"


def readable_bytes(count: int) -> str:
    """A number of bytes with a binary unit."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count} bytes"


def aligned(rows: list[tuple[str, ...]]) -> Iterable[str]:
    """The rows as lines of text; the last two columns are numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-2], widths, strict=False)]
        cells += [cell.rjust(width) for cell, width in zip(row[-2:], widths[-2:], strict=True)]
        yield "  ".join(cells)


def print_table(rows: list[tuple[str, ...]], caption: str) -> None:
    """Print rows, of which the first holds the headings, with rich where it helps.

    That is where stdout is a terminal and rich is installed; else every row is one line of text.
    """
    if not (sys.stdout.isatty() and importlib.util.find_spec("rich")):
        print("\n".join([*aligned(rows), caption]))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(caption=caption, caption_justify="left")
    for heading in rows[0]:
        numeric = heading in ("std", "bytes")
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for row in rows[1:]:
        table.add_row(*(cell.replace("[", r"\[") for cell in row))
    Console().print(table)
