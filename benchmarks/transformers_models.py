"""Every architecture of transformers from a small config, built by a class of the library."""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

# transformers would take the repository's folder of this name for the package `kernels`.
sys.modules.setdefault("kernels", None)  # type: ignore[arg-type]
import transformers  # noqa: E402

Overrides = dict[str, Any]

# Attributes that are counts of layers, and what else can be made small.
LAYERS = re.compile(r"(^|_)(layers?|blocks|depth)$|^num_hidden_layers$")
SMALL = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "embed_dim", "emb_dim"), 64),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "d_ff", "ffn_hidden_size"), 128),
    **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim", "moe_intermediate_size"), 128),
    **dict.fromkeys(("num_attention_heads", "n_head", "num_heads", "encoder_attention_heads"), 4),
    **dict.fromkeys(("decoder_attention_heads", "num_experts", "num_local_experts"), 4),
    **dict.fromkeys(("n_routed_experts",), 4),
    **dict.fromkeys(("num_key_value_heads", "num_experts_per_tok"), 2),
    **dict.fromkeys(("head_dim", "d_kv"), 16),
}
# Attributes that a config may lack, and without which no model can be built.
MISSING = {"vocab_size": 512, "prediction_length": 4}
VOCABULARY = re.compile(r"vocab_size$")
AUTO = (
    "AutoModelForPreTraining",
    "AutoModelForCausalLM",
    "AutoModelForSeq2SeqLM",
    "AutoModelForImageTextToText",
    "AutoModelForMaskedLM",
    "AutoModelForObjectDetection",
    "AutoModelForImageClassification",
    "AutoModelForCTC",
    "AutoModelForSpeechSeq2Seq",
    "AutoModel",
)


def architectures(kinds: Iterable[str] = ()) -> Iterator[tuple[str, type, list[type]]]:
    """(model type, config class, model classes) of these architectures, or of all, by name.

    A type that has no model of its own, such as a part of another, is left out.
    """
    for kind in sorted(kinds or transformers.CONFIG_MAPPING.keys()):
        config = transformers.CONFIG_MAPPING[kind]
        classes: dict[type, None] = {}
        for name in AUTO:
            try:
                found = getattr(transformers, name)._model_mapping.get(config, None)
            except ValueError:
                continue  # a mapping that names a class that is not there
            if found is not None:
                classes[found[0] if isinstance(found, tuple) else found] = None
        if classes:
            yield kind, config, list(classes)


def _overrides(config: Any, level: int) -> Overrides:
    found: Overrides = {}
    for name, value in vars(config).items():
        if name in MISSING and value is None:
            found[name] = MISSING[name]
        elif isinstance(value, transformers.TimmBackboneConfig):  # the timm library's own
            stages = {"depths": [1, 1, 1, 1], "out_features": ["stage2", "stage3", "stage4"]}
            found[name] = transformers.ResNetConfig(**stages)
        elif isinstance(value, transformers.PreTrainedConfig):
            found[name] = type(value)(**_overrides(value, level))
        elif isinstance(value, bool) or not isinstance(value, int):
            continue
        elif LAYERS.search(name) and value > 2:
            found[name] = 2
        elif level > 0 and VOCABULARY.search(name) and value > 512:
            found[name] = 512
        elif level > 1 and name in SMALL and value > SMALL[name]:
            found[name] = SMALL[name]
    if level > 0 and "vocab_size" in found:
        tokens = [n for n, v in vars(config).items() if n.endswith("_token_id")]
        for name in tokens:
            value = getattr(config, name)
            if isinstance(value, int) and value >= 512:
                found[name] = 3
    return found


def small_configs(cls: type) -> Iterator[Any]:
    """Configs of a class, the smallest first, the default one last."""
    for level in (2, 1, 0):
        try:
            yield cls(**_overrides(cls(), level))
        except Exception:
            continue
    try:
        yield cls()
    except Exception:
        return


def buildable(config_class: type, classes: list[type]) -> tuple[Any, Any, int] | str:
    """(a model class, a small config with which it builds on meta, its elements), or why none."""
    reason = ""
    for config in small_configs(config_class):
        for cls in classes:
            try:
                with torch.device("meta"):
                    model: nn.Module = cls(copy.deepcopy(config))
            except Exception as error:
                reason = reason or f"{type(error).__name__}: {str(error).strip()[:200]}"
                continue
            size = sum(t.numel() for t in (*model.parameters(), *model.buffers()))
            return cls, config, size
    return reason
