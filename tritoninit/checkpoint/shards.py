"""Dividing a checkpoint into files, as Hugging Face's libraries name and index them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import NamedTuple

from tritoninit.adapters.safetensors import encode
from tritoninit.checkpoint.contents import Contents, Stored

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
CONFIG = "config.json"
PART = ".part"  # ends the names of files that are being written
WEIGHTS = re.compile(r"model(-\d{5,}-of-\d{5,})?\.safetensors|model\.safetensors\.index\.json")

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
UNITS |= {"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}


class Shard(NamedTuple):
    """One file: its name, its tensors in the order of their bytes, its metadata and its head."""

    file: str
    tensors: tuple[Stored, ...]
    metadata: dict[str, str]
    head: bytes

    @property
    def nbytes(self) -> int:
        """The size of the file."""
        return len(self.head) + sum(stored.nbytes for stored in self.tensors)


@dataclass(frozen=True)
class Layout:
    """The files of a checkpoint; ``index`` is the content of the index, None of a single file."""

    shards: tuple[Shard, ...]
    index: bytes | None

    @property
    def nbytes(self) -> int:
        """Bytes of the files of tensors."""
        return sum(shard.nbytes for shard in self.shards)

    @property
    def files(self) -> list[str]:
        """The names of all files of weights, the one that completes them last."""
        return [shard.file for shard in self.shards] + ([INDEX] if self.index else [])


def parse_size(text: str) -> int:
    """Bytes of a size such as 5GB (10**9 bytes), 256MiB (2**20) or 1000000.

    Raises:
        ValueError: it is no such size, or less than one byte.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    unit = UNITS.get(match[2].upper()) if match else None
    size = int(float(match[1]) * unit) if match and unit else 0
    if size < 1:
        raise ValueError(
            f"expected a size such as 5GB, 256MiB or a number of bytes of at least 1, got {text!r}"
        )
    return size


def divide(contents: Contents, most: int) -> Layout:
    """Divide the tensors, in their order, into files of at most ``most`` bytes of tensors.

    A tensor that is larger than that has a file of its own.  Within a file, wide elements come
    before narrow ones, so that every tensor is aligned.
    """
    groups: list[list[Stored]] = [[]]
    size = 0
    for stored in contents.tensors:
        if groups[-1] and size + stored.nbytes > most:
            groups.append([])
            size = 0
        groups[-1].append(stored)
        size += stored.nbytes
    shards = []
    for number, group in enumerate(groups, 1):
        ordered = sorted(group, key=lambda stored: -stored.torch_dtype.itemsize)
        tensors = {stored.name: (stored.dtype, stored.shape) for stored in ordered}
        metadata = contents.metadata(ordered)
        place = f"model-{number:05d}-of-{len(groups):05d}.safetensors"
        file = SINGLE if len(groups) == 1 else place
        shards.append(Shard(file, tuple(ordered), metadata, encode(tensors, metadata)))
    return Layout(tuple(shards), None if len(shards) == 1 else _index(shards, contents))


def _index(shards: list[Shard], contents: Contents) -> bytes:
    document = {
        "metadata": {"total_parameters": contents.numel, "total_size": contents.nbytes},
        "weight_map": {s.name: shard.file for shard in shards for s in shard.tensors},
    }
    return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()
