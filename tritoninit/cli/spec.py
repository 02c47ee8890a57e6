"""SPEC on the command line: a function that builds a model, or the config of one."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from tritoninit.adapters import transformers
from tritoninit.materialize import record

CONFIG = "config.json"
LIBRARIES = tuple(
    os.path.dirname(path) + os.sep for path in (torch.__file__, os.path.dirname(__file__))
)
HELP = (
    "SPEC is module:function, which is called without arguments to build the model, or a folder"
    f" or file with a Hugging Face {CONFIG}"
)


class SpecError(ValueError):
    """SPEC does not lead to a model."""


class Built(NamedTuple):
    """A model on meta, and the config it was built from, if there was one."""

    model: nn.Module
    config: Path | None


def build(spec: str, dtype: torch.dtype | None = None) -> Built:
    """The model of a SPEC, on meta.

    Args:
        spec: ``module:callable``, looked for in the working directory too and called without
            arguments under :func:`tritoninit.record`; or the path of a folder that holds a
            ``config.json``, or of such a file.
        dtype: that of a config's model, its buffers included, as transformers has it; None
            means the config's.  A callable's model is built as it is.

    Raises:
        SpecError: there is no such module, callable or config, or it does not build a model.
    """
    path = Path(spec)
    if path.exists():
        return _from_config(path / CONFIG if path.is_dir() else path, dtype)
    module, colon, name = spec.partition(":")
    if not (colon and module and name):
        raise SpecError(f"there is no file or folder {spec!r}; {HELP}")
    model = _called(spec, _callable(module, name))
    return Built(model, None)


def _from_config(path: Path, dtype: torch.dtype | None) -> Built:
    if not path.is_file():
        raise SpecError(f"there is no {path}; {HELP}")
    try:
        return Built(transformers.build(path, dtype), path)
    except ImportError as error:
        raise SpecError(
            f"{path} needs the transformers library: install tritoninit[hf] ({error})"
        ) from None
    except ValueError as error:
        raise SpecError(str(error)) from None


def _callable(module: str, name: str) -> Callable[[], Any]:
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise SpecError(f"importing {module} raised {described(error)}") from error
        raise SpecError(f"there is no module {error.name!r}; {HELP}") from None
    except Exception as error:
        raise SpecError(f"importing {module} raised {described(error)}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise SpecError(f"{module} has no {name}")
        found = getattr(found, part)
    if not callable(found):
        raise SpecError(f"{module}:{name} is a {type(found).__name__}, not a function")
    function: Callable[[], Any] = found
    return function


def _called(spec: str, function: Callable[[], Any]) -> nn.Module:
    try:
        with record():
            model = function()
    except Exception as error:
        raise SpecError(f"{spec} raised {described(error)}") from error
    if not isinstance(model, nn.Module):
        raise SpecError(f"{spec} returned a {type(model).__name__}, not a torch.nn.Module")
    return model


def described(error: Exception) -> str:
    """The error with its notes and the line of code it comes from, torch's and our own left out."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not frame.filename.startswith(LIBRARIES)] or frames
    place = f" at {theirs[-1].filename}:{theirs[-1].lineno}" if theirs else ""
    notes = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
    return f"{type(error).__name__}: {error}{place}{notes}"
