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
from typing import Any, NamedTuple

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
        ValueError: the format has no such dtype or name, or the head is longer than 100 MB.
    """
    document: dict[str, object] = {METADATA: dict(metadata)}
    at = 0
    for name, (dtype, shape) in tensors.items():
        if name == METADATA:
            raise ValueError(
                f"safetensors files keep the name {name} for what they say of"
                " themselves; register the tensor under another"
            )
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
    if not text.startswith(b"{"):
        raise FormatError(f"{path.name} is no safetensors file: its head does not begin with {{")
    try:
        document = json.loads(text, object_pairs_hook=_distinct)
        metadata = _metadata(document.pop(METADATA, None))
        entries = {name: _entry(name, value, start) for name, value in document.items()}
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path.name} is no safetensors file: {error}") from None
    ordered = dict(sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)))
    at = start
    for name, entry in ordered.items():
        if entry.begin != at:
            raise FormatError(f"{path.name} has a gap or an overlap before {name}")
        at = entry.end
    if at != size:
        raise FormatError(f"{path.name} has {size:,} bytes, its head describes {at:,}")
    return Head(ordered, metadata)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, whose fields the format wants to differ."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it names {twice} twice")
    return found


def _metadata(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ValueError(f"{METADATA} must hold texts by name, it holds {value!r:.60}")
    return value


def _entry(name: str, value: Any, start: int) -> Entry:
    fields: dict[str, Any] = value if isinstance(value, dict) else {}
    code: Any = fields.get("dtype")
    shape: Any = fields.get("shape")
    span: Any = fields.get("data_offsets")
    if not isinstance(code, str) or code not in SIZES:
        raise ValueError(f"{name} has dtype {code!r:.60}, which the format does not know")
    if not (_are_counts(shape) and _are_counts(span) and len(span) == 2):
        raise ValueError(f"{name} has shape {shape!r:.60} and data_offsets {span!r:.60}")
    begin, end = span
    if end - begin != math.prod(shape) * SIZES[code]:
        raise ValueError(f"{name} is {shape} of {code} in {end - begin} bytes")
    return Entry(NAMES[code], tuple(shape), start + begin, start + end)


def _are_counts(value: Any) -> bool:
    """Whether this is a list of integers of at least 0."""
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)
