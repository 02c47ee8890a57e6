"""From the ``generator`` argument to a ``Key``: one fixed draw, whatever the tensor's size."""

from __future__ import annotations

import threading
from functools import partial

import numpy as np
import torch
from torch import Generator

from tritoninit.stream import MASK64, Key

HOST = torch.device("cpu")
CUDA_STEP = 4  # Philox offsets advance in fours; one call takes one block
DRAWN = 1 << 63  # where the blocks of a drawn key begin: ``Key(seed)`` begins at 0, so the
# streams of a generator and of a seed share no block even where the seeds coincide


def key_of(generator: Generator | Key | None, device: torch.device) -> Key:
    """The key of one call.

    - A ``Key`` is itself.
    - None takes 64 bits from torch's default CPU generator, whatever the device, so that
      ``torch.manual_seed`` gives the same weights everywhere.
    - A CPU generator gives 64 bits w (one ``random_`` of an int64): the key (w, 2**63).
    - A CUDA generator is read on the host, without a synchronisation: its seed and its Philox
      offset make the key, and the offset advances by 4.

    Raises:
        RuntimeError: the generator's device type is not the tensor's, as in torch; or a CUDA
            graph is being captured, whose replays would all repeat this one draw.
        TypeError: ``generator`` is none of these.
    """
    return generator if isinstance(generator, Key) else Key(*words_of(generator, device))


def words_of(generator: Generator | Key | None, device: torch.device) -> tuple[int, int]:
    """The seed and the offset of ``key_of``: to make a Key of them takes as long as 200 normals."""
    if isinstance(generator, Key):
        return generator.seed, generator.offset
    if device is not HOST and _is_capturing() and device.type == "cuda":
        raise RuntimeError(
            "an initializer draws from its generator on the host, and every replay of the CUDA"
            " graph that is being captured would repeat that draw; pass"
            " generator=tritoninit.Key(...) to repeat it on purpose"
        )
    draw, words = _scratch.word
    if generator is None:
        draw()
        return words[0], DRAWN
    if not isinstance(generator, Generator):
        raise TypeError(
            "generator must be a torch.Generator, a tritoninit.Key or None, got"
            f" {type(generator).__name__}"
        )
    if device is not HOST or (type(generator) is not Generator and generator.device != HOST):
        kind = generator.device.type
        if kind != device.type:
            raise RuntimeError(
                f"Expected a '{device.type}' device type for generator but found '{kind}'"
            )
        if kind != "cpu":
            offset = generator.get_offset()
            generator.set_offset(offset + CUDA_STEP)
            key = Key(generator.initial_seed() & MASK64).fold_in(offset)
            return key.seed, key.offset
    draw(generator=generator)  # a RuntimeError of the same text for a GPU's generator
    return words[0], DRAWN


def _is_capturing() -> bool:
    return torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()


class _Scratch(threading.local):
    """One word a thread: making a tensor takes as long as drawing into it."""

    def __init__(self) -> None:
        with torch.inference_mode(False):  # else it could not be written outside of that mode
            word = torch.empty((), dtype=torch.int64, device=HOST)
        memory = word.numpy().reshape(1).view(np.uint64).data
        self.word = partial(word.random_, -(2**63), None), memory


_scratch = _Scratch()
