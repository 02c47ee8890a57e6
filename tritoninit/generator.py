"""From the ``generator`` argument to a ``Key``: one fixed draw, whatever the tensor's size."""

from __future__ import annotations

import threading

import numpy as np
import torch

from tritoninit.stream import MASK64, Key

CUDA_STEP = 4  # Philox offsets advance in fours; one call takes one block
DRAWN = 1 << 63  # where the blocks of a drawn key begin: ``Key(seed)`` begins at 0, so the
# streams of a generator and of a seed share no block even where the seeds coincide


def key_of(generator: torch.Generator | Key | None, device: torch.device) -> Key:
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
    if isinstance(generator, Key):
        return generator
    if device.type == "cuda" and _is_capturing():
        raise RuntimeError(
            "an initializer draws from its generator on the host, and every replay of the CUDA"
            " graph that is being captured would repeat that draw; pass"
            " generator=tritoninit.Key(...) to repeat it on purpose"
        )
    if generator is None:
        return _draw(None)
    if not isinstance(generator, torch.Generator):
        raise TypeError(
            "generator must be a torch.Generator, a tritoninit.Key or None, got"
            f" {type(generator).__name__}"
        )
    kind = generator.device.type
    if kind != device.type:
        raise RuntimeError(
            f"Expected a '{device.type}' device type for generator but found '{kind}'"
        )
    if kind == "cpu":
        return _draw(generator)
    offset = generator.get_offset()
    generator.set_offset(offset + CUDA_STEP)
    return Key(generator.initial_seed() & MASK64).fold_in(offset)


def _is_capturing() -> bool:
    return torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()


class _Scratch(threading.local):
    """One word a thread: making a tensor takes as long as drawing into it."""

    def __init__(self) -> None:
        with torch.inference_mode(False):  # else it could not be written outside of that mode
            word = torch.empty(1, dtype=torch.int64, device="cpu")
        self.draw = word.random_
        self.words = word.numpy().view(np.uint64).data  # the same memory


_scratch = _Scratch()


def _draw(generator: torch.Generator | None) -> Key:
    if generator is None:
        _scratch.draw(-(2**63), None)
    else:
        _scratch.draw(-(2**63), None, generator=generator)
    return Key(_scratch.words[0], DRAWN)
