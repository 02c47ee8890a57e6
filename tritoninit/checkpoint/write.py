"""Writing a checkpoint: file after file, each complete before it has its name.

A file is written under a temporary name, flushed to the disk and renamed; the index, or the only
file, comes last.  Whatever is killed when, a folder that looks finished is.
"""

from __future__ import annotations

import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tritoninit.adapters.safetensors import FormatError, Head, read_head
from tritoninit.checkpoint.contents import Contents, flat_bytes
from tritoninit.checkpoint.pieces import PIECE_BYTES, Pieces
from tritoninit.checkpoint.shards import CONFIG, INDEX, PART, WEIGHTS, Layout, Shard
from tritoninit.plan import readable_bytes


class FolderError(ValueError):
    """The folder holds something else."""


class Written(NamedTuple):
    """The files that were written, and those that were there already."""

    written: list[str]
    kept: list[str]


def write(
    contents: Contents,
    layout: Layout,
    folder: Path,
    config: bytes | None = None,
    jobs: int = 1,
    advance: Callable[[int], object] = lambda _: None,
    piece_bytes: int = PIECE_BYTES,
) -> Written:
    """Write the files that are not in the folder yet.

    Files of an earlier run that was interrupted are kept where their size and head, which holds
    a hash of the plan, are the expected ones.  The result is the same, byte for byte, as that of
    an undisturbed run.

    Args:
        contents: the tensors and their values.
        layout: the files, see :func:`tritoninit.checkpoint.shards.divide`.
        folder: where; it is made if it is not there.
        config: the content of ``config.json``; None writes none.
        jobs: files written at once, each by a thread with a buffer of ``piece_bytes``.
        advance: called with numbers of bytes that are done.
        piece_bytes: how much of a tensor is computed at once.

    Raises:
        FolderError: the folder is none, or holds weights or a config that differ from these.
            Nothing is written then.
        OSError: the disk is full, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise FolderError(f"{folder} cannot be a folder: {error.filename} is none") from error
    if config is not None:
        _check_config(folder / CONFIG, config)
    kept = _finished(layout, folder)
    _remove_parts(folder)
    _check_space(sum(s.nbytes for s in layout.shards if s.file not in kept), folder)
    if config is not None and not (folder / CONFIG).exists():
        _write_bytes(folder / CONFIG, config)
    advance(sum(shard.nbytes for shard in layout.shards if shard.file in kept))
    left = [shard for shard in layout.shards if shard.file not in kept]
    _write_shards(left, contents, folder, jobs, advance, piece_bytes)
    written = [shard.file for shard in left]
    if layout.index is not None and INDEX not in kept:
        _write_bytes(folder / INDEX, layout.index)
        written.append(INDEX)
    return Written(written, kept)


def _write_shards(
    shards: list[Shard],
    contents: Contents,
    folder: Path,
    jobs: int,
    advance: Callable[[int], object],
    piece_bytes: int,
) -> None:
    """Each file by one of ``jobs`` threads; after an error or an interrupt the others stop."""
    lock, stop, local = threading.Lock(), threading.Event(), threading.local()

    def advance_alone(nbytes: int) -> None:
        if stop.is_set():
            raise InterruptedError("another file could not be written")
        with lock:
            advance(nbytes)

    def work(shard: Shard) -> None:
        if not hasattr(local, "pieces"):
            local.pieces = Pieces(contents.sources, piece_bytes)
        _write_shard(shard, folder, local.pieces, advance_alone)

    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(work, shard) for shard in shards]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _check_space(needed: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise FolderError(
            f"{folder} has {readable_bytes(free)} free; {readable_bytes(needed)} are to be written"
        )


def _check_config(path: Path, config: bytes) -> None:
    if path.exists() and path.read_bytes() != config:
        raise FolderError(
            f"{path} differs from the config of this model; remove it or choose another folder"
        )


def _finished(layout: Layout, folder: Path) -> list[str]:
    """The files that are there and complete.

    Raises:
        FolderError: a file of weights is there that this layout would not write.
    """
    expected = {shard.file: shard for shard in layout.shards}
    kept = []
    for path in sorted(folder.iterdir()):
        if not WEIGHTS.fullmatch(path.name):
            continue
        if path.name == INDEX and layout.index is not None:
            reason = "" if path.read_bytes() == layout.index else "it lists other tensors or files"
        elif path.name in expected:
            reason = _difference(path, expected[path.name])
        else:
            count = len(layout.shards)
            reason = f"this checkpoint has {count} file{'s' if count > 1 else ''} of weights"
        if reason:
            raise FolderError(
                f"{path} belongs to another checkpoint: {reason}; remove it or choose another"
                " folder"
            )
        kept.append(path.name)
    return [file for file in layout.files if file in kept]


def _difference(path: Path, shard: Shard) -> str:
    """What is different about a file of the same name; empty if nothing is."""
    with path.open("rb") as file:
        same = file.read(len(shard.head)) == shard.head
    if same and path.stat().st_size == shard.nbytes:
        return ""
    try:
        found = read_head(path)
    except FormatError as error:
        return str(error)
    return _head_difference(found, shard)


def _head_difference(found: Head, shard: Shard) -> str:
    expected = {stored.name: (stored.dtype, stored.shape) for stored in shard.tensors}
    there = {name: (entry.dtype, entry.shape) for name, entry in found.entries.items()}
    for name in expected.keys() | there.keys():
        mine, other = expected.get(name), there.get(name)
        if mine is None or other is None:
            return f"{name} is {'missing' if other is None else 'not part of this file'}"
        if mine != other:
            return f"{name} is {list(other[1])} {other[0]}, not {list(mine[1])} {mine[0]}"
    return metadata_difference(found.metadata, shard.metadata) or "its head is another"


def metadata_difference(found: Mapping[str, str], expected: Mapping[str, str]) -> str:
    """How what a file says of itself differs from what is expected; empty if it does not."""
    for name, value in expected.items():
        other = found.get(name)
        if other != value and name == "plan":
            return "its values have other recipes"
        if other != value:
            title = name.replace("_", " ")
            return f"its {title} is {other or 'not stated'}, not {value}"
    return ""


def _remove_parts(folder: Path) -> None:
    """Remove what an interrupted run left unfinished."""
    for path in folder.glob(f"*{PART}"):
        name = path.name.removesuffix(PART).rpartition(".")[0]
        if WEIGHTS.fullmatch(name) or name == CONFIG:
            path.unlink(missing_ok=True)


def _write_shard(
    shard: Shard, folder: Path, pieces: Pieces, advance: Callable[[int], object]
) -> None:
    with _replacing(folder / shard.file) as descriptor:
        _write_all(descriptor, memoryview(shard.head))
        advance(len(shard.head))
        for stored in shard.tensors:
            for piece in pieces.of(stored):
                _write_all(descriptor, flat_bytes(piece).numpy().data)
                advance(piece.nbytes)
        written = os.lseek(descriptor, 0, os.SEEK_CUR)
        assert written == shard.nbytes, (shard.file, written, shard.nbytes)


def _write_bytes(path: Path, data: bytes) -> None:
    with _replacing(path) as descriptor:
        _write_all(descriptor, memoryview(data))


@contextmanager
def _replacing(path: Path) -> Iterator[int]:
    """A file that gets its name once it is on the disk, and is removed if the body raises.

    The temporary name is of this process alone, so that two that write the same folder cannot
    finish each other's files.
    """
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}{PART}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        try:
            yield descriptor
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _rename(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    parent = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(parent)  # the name, too
    finally:
        os.close(parent)


def _rename(part: Path, path: Path) -> None:
    try:
        os.replace(part, path)
    except FileNotFoundError as error:  # taken by ``_remove_parts`` for a killed run's
        raise FolderError(
            f"{part} was removed while it was written: another process writes to {path.parent};"
            " run the command again once that one is done"
        ) from error


def _write_all(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
