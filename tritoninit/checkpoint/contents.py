"""What a checkpoint of a model holds: the tensors of its state dict, each once, with values."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tritoninit.adapters.transformers import tied_names, unsaved_names
from tritoninit.materialize import record_plan
from tritoninit.plan import Fill
from tritoninit.plan.document import encoded
from tritoninit.region import Shape
from tritoninit.stream import STREAM_VERSION
from tritoninit.writing import Sources


@dataclass(frozen=True, eq=False)
class Stored:
    """One tensor of a checkpoint.

    ``aliases`` are the other names of the state dict that it is tied to.  Its values are those
    of ``fill``; where that is None, those of ``tensor``, which is not on meta.
    """

    name: str
    aliases: tuple[str, ...]
    tensor: Tensor
    fill: Fill | None

    @property
    def shape(self) -> Shape:
        """The global shape."""
        return tuple(self.tensor.shape)

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype."""
        if self.fill is None:
            return self.tensor.dtype
        found: torch.dtype = getattr(torch, self.fill.dtype)
        return found

    @property
    def dtype(self) -> str:
        """torch's name of the dtype."""
        return str(self.torch_dtype).removeprefix("torch.")

    @property
    def numel(self) -> int:
        """Elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the elements."""
        return self.numel * self.torch_dtype.itemsize

    def identity(self) -> object:
        """All that decides the values, as JSON; a tensor that is not on meta by its hash."""
        geometry = [self.name, self.dtype, self.shape]
        if self.fill is not None:
            return [*geometry, self.fill.strides, encoded(self.fill.writes)]
        data = flat_bytes(self.tensor.detach().cpu().contiguous()).numpy()
        return [*geometry, hashlib.blake2b(data.tobytes(), digest_size=16).hexdigest()]


@dataclass(frozen=True)
class Contents:
    """All tensors of a checkpoint, in the order of the state dict, and what their fills copy."""

    seed: int
    tensors: tuple[Stored, ...]
    sources: Sources

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return sum(stored.nbytes for stored in self.tensors)

    @property
    def numel(self) -> int:
        """Elements in all."""
        return sum(stored.numel for stored in self.tensors)

    def metadata(self, tensors: Iterable[Stored]) -> dict[str, str]:
        """What a file of these tensors says of itself.

        "format" is what transformers asks for; ``plan`` is a hash of all that decides the values.
        """
        identity = json.dumps([stored.identity() for stored in tensors]).encode()
        return {
            "format": "pt",
            "seed": str(self.seed),
            "stream_version": str(STREAM_VERSION),
            "plan": hashlib.blake2b(identity, digest_size=16).hexdigest(),
        }


def flat_bytes(tensor: Tensor) -> Tensor:
    """The bytes of a contiguous tensor."""
    return tensor.reshape(-1).view(torch.uint8)


def contents_of(model: nn.Module, seed: int = 0, dtype: torch.dtype | None = None) -> Contents:
    """What a checkpoint of the model's initial values holds.

    Tied tensors are stored once: under the name that transformers ties the others to, or else
    under the first.  Buffers that are not persistent are left out, as in every state dict.

    Args:
        model: the model, on meta; buffers that are not are stored as they are.
        seed: see :func:`tritoninit.plan`.
        dtype: see :func:`tritoninit.plan`.

    Raises:
        tritoninit.recording.RecordError: a tensor on meta has no recipe.
        ValueError: the seed is out of range, a parameter is not on meta, or the state dict
            holds something that is neither a parameter nor a buffer.
    """
    recording, plan = record_plan(model, seed, None, dtype=dtype)
    fills = {
        id(target.tensor): fill for target, fill in zip(recording.targets, plan.fills, strict=True)
    }
    names: dict[int, list[str]] = {}
    tensors: dict[int, Tensor] = {}
    ignored = unsaved_names(model)
    for name, value in model.state_dict(keep_vars=True).items():
        if name in ignored:
            continue
        if not isinstance(value, Tensor):
            raise ValueError(
                f"the state dict holds {name}, a {type(value).__name__}; a checkpoint can hold"
                " tensors only"
            )
        if value.is_meta and id(value) not in fills:
            raise ValueError(
                f"the state dict holds {name}, which is made from other tensors by a hook and is"
                " neither a parameter nor a buffer; its values are not known"
            )
        if isinstance(value, nn.Parameter) and not value.is_meta:
            raise ValueError(
                f"{name} is a parameter on {value.device}, not on meta: its values are what was"
                f" drawn when it was built, whatever the seed; build it under"
                ' torch.device("meta")'
            )
        names.setdefault(id(value), []).append(name)
        tensors[id(value)] = value
    tied = tied_names(model)
    stored = []
    for key, group in names.items():
        kept = _kept(group, tied)
        aliases = tuple(name for name in group if name not in kept)
        for name in kept:
            stored.append(Stored(name, aliases, tensors[key], fills.get(key)))
            aliases = ()
    return Contents(seed, tuple(stored), recording.sources)


def _kept(group: list[str], tied: frozenset[str] | None) -> list[str]:
    """The names to store a tensor under; more than one where transformers would not tie them."""
    return ([] if tied is None else [name for name in group if name not in tied]) or group[:1]
