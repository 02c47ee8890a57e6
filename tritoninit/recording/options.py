"""What a caller may ask of a plan: tensors to leave out, a dtype, and how strict to be."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from tritoninit.layout import DTYPES
from tritoninit.names import WRAPPERS
from tritoninit.recording.targets import Target

Skip = Iterable[str] | Callable[[str, Tensor], object]


@dataclass(frozen=True)
class Options:
    """The options of :func:`tritoninit.materialize`, checked.

    Raises:
        TypeError: ``skip`` is neither an iterable of names nor callable, ``dtype`` no torch.dtype,
            or ``strict`` no bool.
        ValueError: a name is empty, or ``dtype`` is not one that can be drawn in.
    """

    skip: Skip = ()
    dtype: torch.dtype | None = None
    strict: bool = True

    def __post_init__(self) -> None:
        if not callable(self.skip):
            object.__setattr__(self, "skip", _names(self.skip))
        allowed = ", ".join(str(dtype) for dtype in DTYPES)
        if not isinstance(self.dtype, torch.dtype | None):
            raise TypeError(f"dtype must be a torch.dtype or None, got {self.dtype!r}")
        if self.dtype is not None and self.dtype not in DTYPES:
            raise ValueError(f"dtype must be None or one of {allowed}, got {self.dtype}")
        if not isinstance(self.strict, bool):
            raise TypeError(f"strict must be True or False, got {self.strict!r}")

    def apply(self, targets: list[Target]) -> None:
        """Mark the tensors that are skipped, and give the parameters their dtypes.

        Init code is given floating-point parameters in ``working_dtype``.

        Raises:
            ValueError: a name to skip is that of no tensor and of no module that holds one.
        """
        for target in targets:
            if self.dtype is not None and target.kind == "parameter":
                target.cast(self.dtype, working_dtype(self.dtype))
        if callable(self.skip):
            for target in targets:
                if target.tensor.is_meta:
                    target.skipped = any(self.skip(name, target.tensor) for name in target.names)
            return
        below: dict[str, list[Target]] = {}
        for target in targets if self.skip else ():
            for name in target.names:
                for prefix in _prefixes(name):
                    below.setdefault(prefix, []).append(target)
        for name in self.skip:
            found = below.get(_plain(name))
            if found is None:
                raise ValueError(_unknown(name, below))
            for target in found:
                target.skipped = True


def working_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype that values are computed in before they are rounded, once, to ``dtype``."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def _names(skip: object) -> tuple[str, ...]:
    if isinstance(skip, str) or not isinstance(skip, Iterable):
        raise TypeError(
            f"skip must be an iterable of names, or a function of a name and a tensor, got {skip!r}"
        )
    names = tuple(skip)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"skip must hold names, got {name!r}, a {type(name).__name__}")
        if not _plain(name):
            raise ValueError(f"skip holds {name!r}, the name of the whole model")
    return names


def _plain(name: str) -> str:
    """The name without the wrappers' prefixes, of a tensor or of a module."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _prefixes(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _unknown(name: str, known: dict[str, list[Target]]) -> str:
    close = difflib.get_close_matches(name, known, 3)
    hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
    return (
        f"skip holds {name!r}, the name of no parameter or buffer and of no module that holds"
        f" one{hint}"
    )
