"""Python's garbage collector, while a model is planned and filled."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused() -> Iterator[None]:
    """Collect nothing inside: all that planning makes lives until its end.

    For 50,000 tensors the collector would look through millions of live objects again and
    again, a third of the time.  It may be nested.  The collector is the process's: of several
    threads the one that paused it first has it on again, and the others are slower.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
