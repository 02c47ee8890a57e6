"""The safetensors format: a file's head, written and read.

A file is the length of its head (8 bytes, little-endian), the head (JSON: for every tensor its
dtype, shape and half-open range of bytes behind the head; padded with spaces to a multiple of 8)
and the tensors' row-major, little-endian bytes without gaps.

Source: https://huggingface.co/docs/safetensors, "Format".
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tritoninit.region import Shape

# torch's name, the format's, bytes an element
_TYPES = (
    *(("float64", "F64", 8), ("float32", "F32", 4), ("float16", "F16", 2), ("bfloat16", "BF16", 2)),
    *(("int64", "I64", 8), ("int32", "I32", 4), ("int16", "I16", 2), ("int8", "I8", 1)),
    *(("uint64", "U64", 8), ("uint32", "U32", 4), ("uint16", "U16", 2), ("uint8", "U8", 1)),
    *(("bool", "BOOL", 1), ("complex64", "C64", 8)),
    *(("float8_e4m3fn", "F8_E4M3", 1), ("float8_e4m3fnuz", "F8_E4M3FNUZ", 1)),
    *(("float8_e5m2", "F8_E5M2", 1), ("float8_e5m2fnuz", "F8_E5M2FNUZ", 1)),
)
CODES = {name: code for name, code, _ in _TYPES}
NAMES = {code: name for name, code, _ in _TYPES}
SIZES = {code: size for _, code, size in _TYPES}
LENGTH_BYTES = 8
MOST_HEAD_BYTES = 100_000_000  # the safetensors package refuses more
METADATA = "__metadata__"


class FormatError(ValueError):
    """A file that is not whole or not in the safetensors format."""


class Entry(NamedTuple):
    """One tensor: its dtype by torch's name, and [begin, end) in bytes from the file's start."""

    dtype: str
    shape: Shape
    begin: int
    end: int


class Head(NamedTuple):
    """What a file says of its tensors, in the order of their bytes, and its metadata."""

    entries: dict[str, Entry]
    metadata: dict[str, str]


def encode(tensors: Mapping[str, tuple[str, Shape]], metadata: Mapping[str, str]) -> bytes:
    """The head, with its length, of a file that holds these (dtype, shape) in this order.

    Raises:
        ValueError: the format has no such dtype, or the head is longer than 100 MB.
    """
    document: dict[str, object] = {METADATA: dict(metadata)}
    at = 0
    for name, (dtype, shape) in tensors.items():
        if dtype not in CODES:
            raise ValueError(f"{name} has dtype {dtype}, which safetensors files cannot hold")
        code = CODES[dtype]
        end = at + math.prod(shape) * SIZES[code]
        document[name] = {"dtype": code, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MOST_HEAD_BYTES:
        raise ValueError(
            f"{len(tensors):,} tensors need a head of {len(text):,} bytes in one file, of which"
            f" {MOST_HEAD_BYTES:,} are allowed; choose smaller shards"
        )
    return len(text).to_bytes(LENGTH_BYTES, "little") + text


def read_head(path: Path) -> Head:
    """The head of a file, checked against the file's size.

    Raises:
        FormatError: the file is not in the format, or shorter or longer than its head says.
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        start = LENGTH_BYTES + length
        if size < LENGTH_BYTES or length > MOST_HEAD_BYTES or start > size:
            raise FormatError(f"{path.name} is no safetensors file, or cut short ({size:,} bytes)")
        text = file.read(length)
    try:
        document = json.loads(text)
        metadata = document.pop(METADATA, {})
        entries = {name: _entry(value, start) for name, value in document.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"{path.name} is no safetensors file: {error!r}") from None
    ordered = dict(sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)))
    at = start
    for name, entry in ordered.items():
        if entry.begin != at:
            raise FormatError(f"{path.name} has a gap or an overlap before {name}")
        at = entry.end
    if at != size:
        raise FormatError(f"{path.name} has {size:,} bytes, its head describes {at:,}")
    return Head(ordered, metadata)


def _entry(value: dict[str, list[int]], start: int) -> Entry:
    code, shape = str(value["dtype"]), tuple(value["shape"])
    begin, end = value["data_offsets"]
    if end - begin != math.prod(shape) * SIZES[code]:
        raise ValueError(f"{list(shape)} of {code} in {end - begin} bytes")
    return Entry(NAMES[code], shape, start + begin, start + end)
