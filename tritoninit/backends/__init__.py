"""Backends write samples to memory: numpy and numba on the host, Triton on a GPU."""

from __future__ import annotations

import logging
from functools import lru_cache

from tritoninit.backends.host import HostBackend

logger = logging.getLogger("tritoninit")


@lru_cache
def host_backend() -> HostBackend:
    """numba where it can be imported, else numpy: the same bits, some hundred times slower."""
    try:
        from tritoninit.backends.numba_ import NumbaBackend
    except ImportError as reason:
        logger.warning("CPU tensors take the slow, exact numpy path, for lack of numba: %s", reason)
        from tritoninit.backends.numpy_ import NumpyBackend

        return NumpyBackend()
    return NumbaBackend()
