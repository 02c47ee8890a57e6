"""Models of the transformers library on meta, from a config alone; nothing is downloaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tritoninit.materialize import record

# Where a config does not name its architecture: the first of these that knows the config.
AUTO = ("AutoModelForPreTraining", "AutoModelForCausalLM", "AutoModel")


def read_config(path: Path) -> dict[str, Any]:
    """The JSON object of a ``config.json``.

    Raises:
        ValueError: it is not JSON, names no ``model_type``, or describes a quantised model.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(config, dict) or "model_type" not in config:
        raise ValueError(f'{path} is no config of a transformers model: it has no "model_type"')
    if config.get("quantization_config") is not None:
        raise ValueError(
            f'{path} has a "quantization_config"; initial values are not quantised: remove it,'
            " and quantise the result"
        )
    return config


def build(path: Path, dtype: torch.dtype | None) -> nn.Module:
    """The model of a config, on meta, with its weights tied.

    Args:
        path: a ``config.json``.
        dtype: of the parameters; None means the config's, or else float32.

    Raises:
        ValueError: see :func:`read_config`; or transformers has no such model.
    """
    import transformers

    named = read_config(path).get("architectures") or ()
    try:
        config = transformers.AutoConfig.from_pretrained(path, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"transformers cannot read {path}: {_first_line(error)}") from None
    given = {} if dtype is None else {"dtype": dtype}
    with record():
        if named:
            architecture = getattr(transformers, named[0], None)
            if architecture is None:
                raise ValueError(
                    f"{path} names the architecture {named[0]}, which transformers"
                    f" {transformers.__version__} does not have; write a function that builds the"
                    " model and give it as module:function"
                )
            return _module(architecture._from_config(config, **given))
        for name in AUTO:
            auto = getattr(transformers, name)
            if type(config) in auto._model_mapping:
                return _module(auto.from_config(config, **given))
    raise ValueError(f'{path} has no "architectures", and none is known for {type(config)}')


def config_for(path: Path, dtype: str | None) -> bytes:
    """What to write as ``config.json`` beside weights of this dtype, torch's name.

    The file itself, or the same with another dtype.
    """
    config = read_config(path)
    stated = config.get("dtype", config.get("torch_dtype"))
    if dtype is None or stated == dtype:
        return path.read_bytes()
    config.pop("torch_dtype", None)  # what "dtype" was called before transformers 5
    config["dtype"] = dtype
    return (json.dumps(config, indent=2, ensure_ascii=False) + "\n").encode()


def unsaved_names(model: nn.Module) -> frozenset[str]:
    """Names in the state dict that ``save_pretrained`` leaves out."""
    return frozenset(getattr(model, "_keys_to_ignore_on_save", None) or ())


def tied_names(model: nn.Module) -> frozenset[str] | None:
    """Names that ``from_pretrained`` ties to others; None of a model that is not transformers'."""
    tied = getattr(model, "all_tied_weights_keys", None)
    return None if tied is None else frozenset(tied)


def _module(model: Any) -> nn.Module:
    assert isinstance(model, nn.Module)
    return model


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
