"""Initial weights that are the same bits on CPU, on any GPU and under any sharding."""

from tritoninit import init
from tritoninit.fingerprint import ReplicaError, fingerprint, fingerprints
from tritoninit.materialize import materialize, plan, record
from tritoninit.patching import patch
from tritoninit.ranks.agreement import RankError
from tritoninit.simulate import simulate
from tritoninit.stream import STREAM_VERSION, Key

__version__ = "0.1.0"
__all__ = [
    "STREAM_VERSION",
    "Key",
    "RankError",
    "ReplicaError",
    "fingerprint",
    "fingerprints",
    "init",
    "materialize",
    "patch",
    "plan",
    "record",
    "simulate",
]
