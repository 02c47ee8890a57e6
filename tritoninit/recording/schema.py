"""What torch says of an operation, asked once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tritoninit.evaluate import flat


class Schema(NamedTuple):
    """An operation, and what it does to its arguments.

    ``text`` is torch's name with the overload, such as ``mul_.Tensor``, ``name`` what is before
    the first point of it, ``packet`` the name of all overloads.  ``arguments`` are (name, whether
    it is written).  ``views`` says that all results are views of arguments, ``aliases`` that some
    are, or arguments themselves.
    """

    text: str
    name: str
    overload: str
    packet: str
    arguments: tuple[tuple[str, bool], ...]
    is_random: bool
    changes_view: bool
    views: bool
    aliases: bool

    def split(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """(the tensors that a call writes, those that it only reads)."""
        written: list[Tensor] = []
        read: list[Tensor] = []
        for position, (name, is_written) in enumerate(self.arguments):
            value = args[position] if position < len(args) else kwargs.get(name)
            if isinstance(value, Tensor | list | tuple):
                (written if is_written else read).extend(flat(value))
        return written, read


@lru_cache(maxsize=4096)
def schema_of(func: Any) -> Schema:
    """The schema of an operation of torch."""
    text = str(func).removeprefix("aten.")
    name, _, overload = text.partition(".")
    arguments = (
        (a.name, a.alias_info is not None and a.alias_info.is_write) for a in func._schema.arguments
    )
    aliased = [result.alias_info is not None for result in func._schema.returns]
    return Schema(
        text,
        name,
        overload,
        func.overloadpacket.__name__,
        tuple(arguments),
        torch.Tag.nondeterministic_seeded in func.tags,
        torch.Tag.inplace_view in func.tags,
        bool(aliased) and all(aliased),
        any(aliased),
    )
