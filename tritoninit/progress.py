"""A progress bar on a terminal."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tritoninit.ranks.collective import is_first_rank

BAR_FROM = 1 << 27  # bytes from which a progress bar is worth a line: 0.125 GiB


@contextmanager
def progress(total: int, doing: str) -> Iterator[Callable[[int], object]]:
    """A function to be told of bytes that are done.

    It draws a bar where stderr is a terminal, tqdm is installed and the work is worth one; of
    several ranks the first draws it.
    """
    worth = total >= BAR_FROM and sys.stderr.isatty() and is_first_rank()
    if not worth or not importlib.util.find_spec("tqdm"):
        yield lambda _: None
        return
    from tqdm import tqdm

    with tqdm(total=total, unit="B", unit_scale=True, desc=doing) as bar:
        yield bar.update
