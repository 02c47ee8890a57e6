"""Comparing a checkpoint with the values it should hold, element by element.

Every tensor is computed again in pieces and compared, as bits, with the same bytes of its file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tritoninit.adapters.safetensors import Entry, FormatError, read_head
from tritoninit.checkpoint.contents import Contents, Stored
from tritoninit.checkpoint.pieces import PIECE_BYTES, Pieces
from tritoninit.checkpoint.shards import INDEX, SINGLE
from tritoninit.checkpoint.write import FolderError

BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True)
class Difference:
    """What is wrong with one tensor, or with a file.

    Where values differ, ``index`` is the first element that does, ``expected`` and ``found`` are
    its two values with their bits, and ``elements`` says how many elements of the tensor differ.
    """

    name: str
    problem: str
    index: tuple[int, ...] | None = None
    expected: str | None = None
    found: str | None = None
    elements: int | None = None

    def __str__(self) -> str:
        if self.index is None:
            return f"{self.name}: {self.problem}"
        count = "1 element differs" if self.elements == 1 else f"{self.elements:,} elements differ"
        return (
            f"{self.name}: {count}; the first at {list(self.index)} is {self.found}, expected"
            f" {self.expected}"
        )


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: its file, and what the file's head says of it."""

    path: Path
    entry: Entry


def verify(
    contents: Contents,
    folder: Path,
    advance: Callable[[int], object] = lambda _: None,
    piece_bytes: int = PIECE_BYTES,
) -> Iterator[Difference]:
    """The differences between a folder of safetensors files and the values it should hold.

    The folder may be divided into files in any way.  A tied tensor may have any of its names, or
    several.

    Args:
        contents: the tensors and their values.
        folder: ``model.safetensors``, or ``model.safetensors.index.json`` and its files.
        advance: called with numbers of bytes that are done.
        piece_bytes: how much of a tensor is computed and read at once.

    Raises:
        FolderError: the folder holds no such files.
    """
    places, problems = _places(folder)
    yield from problems
    pieces = Pieces(contents.sources, piece_bytes)
    buffer = torch.empty(piece_bytes, dtype=torch.uint8, device="cpu")
    for stored in contents.tensors:
        found = [name for name in (stored.name, *stored.aliases) if name in places]
        if not found:
            yield Difference(stored.name, "missing")
        for name in found:
            yield from _compare(name, stored, places.pop(name), pieces, buffer)
        advance(stored.nbytes)
    for name, place in places.items():
        yield Difference(name, f"not part of the model, but in {place.path.name}")


def stated_metadata(folder: Path) -> dict[str, str]:
    """What the first readable file of the folder says of itself."""
    for path in sorted(folder.glob("model*.safetensors")):
        try:
            return read_head(path).metadata
        except FormatError:
            continue
    return {}


def _places(folder: Path) -> tuple[dict[str, Place], list[Difference]]:
    if (folder / SINGLE).is_file():
        head, problems = _entries(folder / SINGLE)
        return {name: Place(folder / SINGLE, entry) for name, entry in head.items()}, problems
    if not (folder / INDEX).is_file():
        raise FolderError(f"{folder} holds neither {SINGLE} nor {INDEX}")
    try:
        listed = dict(json.loads((folder / INDEX).read_bytes())["weight_map"])
    except (KeyError, TypeError, ValueError) as error:
        raise FolderError(f"{folder / INDEX} is no index of safetensors files: {error!r}") from None
    places, problems = {}, []
    for file in sorted(set(listed.values())):
        path = folder / file
        entries, found = _entries(path)
        problems += found
        for name, entry in entries.items():
            if listed.get(name) == file:
                places[name] = Place(path, entry)
            else:
                problems.append(Difference(name, f"in {file}, but not according to {INDEX}"))
    return places, problems


def _entries(path: Path) -> tuple[dict[str, Entry], list[Difference]]:
    try:
        return read_head(path).entries, []
    except FileNotFoundError:
        return {}, [Difference(path.name, "the file is missing")]
    except FormatError as error:
        return {}, [Difference(path.name, str(error))]


def _compare(
    name: str, stored: Stored, place: Place, pieces: Pieces, buffer: Tensor
) -> Iterator[Difference]:
    entry = place.entry
    if entry.dtype != stored.dtype:
        yield Difference(name, f"dtype is {entry.dtype}, expected {stored.dtype}")
        return
    if entry.shape != stored.shape:
        yield Difference(name, f"shape is {list(entry.shape)}, expected {list(stored.shape)}")
        return
    first, count, done = None, 0, 0
    with place.path.open("rb", buffering=0) as file:
        file.seek(entry.begin)
        for piece in pieces.of(stored):
            if len(buffer) < piece.nbytes:
                buffer = torch.empty(piece.nbytes, dtype=torch.uint8, device="cpu")
            there = buffer[: piece.nbytes]
            _read(file, there.numpy().data)
            mine, other = piece.reshape(-1), there.view(piece.dtype)
            bits = BITS[piece.element_size()]
            if not torch.equal(mine.view(bits), other.view(bits)):
                places = (mine.view(bits) != other.view(bits)).nonzero()
                at = int(places[0])
                first = first or (done + at, shown(mine[at]), shown(other[at]))
                count += len(places)
            done += piece.numel()
    if first is not None:
        index, expected, found = first
        yield Difference(name, "values", unravelled(index, stored.shape), expected, found, count)


def _read(file: object, into: memoryview) -> None:
    while into:
        got = file.readinto(into)  # type: ignore[attr-defined]
        if not got:
            raise FormatError("the file became shorter while it was read")
        into = into[got:]


def shown(value: Tensor) -> str:
    """A value and its bits."""
    size = value.element_size()
    number = f"{value.item():.9g}" if value.is_floating_point() else value.item()
    bits = int(value.reshape(1).view(BITS[size]).item()) & ((1 << 8 * size) - 1)
    return f"{number} ({bits:#0{2 + 2 * size}x})"


def unravelled(index: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The coordinates of the element with this row-major index."""
    coordinates = []
    for size in reversed(shape):
        index, at = divmod(index, size)
        coordinates.append(at)
    return tuple(reversed(coordinates))
