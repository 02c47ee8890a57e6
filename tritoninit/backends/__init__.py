"""Backends write samples to memory: numpy and numba on the host, Triton on a GPU."""

from __future__ import annotations

import importlib.util
import logging
from functools import lru_cache

from tritoninit.backends.host import HostBackend

logger = logging.getLogger("tritoninit")


@lru_cache
def host_backend() -> HostBackend:
    """numba where it is installed, else numpy: the same bits, some hundred times slower."""
    if importlib.util.find_spec("numba") is not None:
        from tritoninit.backends.numba_ import NumbaBackend

        return NumbaBackend()
    from tritoninit.backends.numpy_ import NumpyBackend

    logger.warning("numba is not installed: CPU tensors take the slow, exact numpy path")
    return NumpyBackend()
