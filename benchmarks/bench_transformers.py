"""transformers' models from a config to values: record() and materialize beside from_config.

    python -m benchmarks.bench_transformers

Both sides begin with the config and end with a model on the CPU that holds its initial values,
in float32.  Beside that, materialize alone, of a model that was built before.
"""

from __future__ import annotations

import copy
import sys
from typing import Any

import torch
from torch import nn

import tritoninit
from benchmarks import common, gate
from benchmarks.timing import Contestant, as_json, duration, interleave
from benchmarks.transformers_models import transformers
from tritoninit.plan import Plan
from tritoninit.recipe import Normal

QUICK = {"num_hidden_layers": 1}
CONFIGS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "GPT-2": ("GPT2Config", "AutoModelForCausalLM", {}),
    "BERT base": ("BertConfig", "AutoModelForMaskedLM", {}),
    "ViT base": ("ViTConfig", "AutoModel", {}),
    "Llama, 4 layers": (
        "LlamaConfig",
        "AutoModelForCausalLM",
        {
            "vocab_size": 32000,
            "hidden_size": 2048,
            "intermediate_size": 8192,
            "num_hidden_layers": 4,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
        },
    ),
    "Mixtral, 2 layers of 8 experts": (
        "MixtralConfig",
        "AutoModelForCausalLM",
        {
            "hidden_size": 1024,
            "intermediate_size": 3584,
            "num_hidden_layers": 2,
            "num_attention_heads": 16,
            "num_key_value_heads": 4,
        },
    ),
}


class Held:
    """A recorded model on meta, built anew before every sample."""

    def __init__(self, auto: Any, config: Any) -> None:
        self.auto, self.config = auto, config
        self.model: nn.Module | None = None

    def build(self) -> nn.Module:
        """The model on meta."""
        with tritoninit.record():
            model: nn.Module = self.auto.from_config(copy.deepcopy(self.config))
        return model

    def prepare(self) -> None:
        """Drop the model of the last sample and build another."""
        self.model = None
        self.model = self.build()

    def fill(self) -> None:
        """materialize alone."""
        if self.model is None:
            raise RuntimeError("prepare was not called")
        tritoninit.materialize(self.model, "cpu", seed=0)
        self.model = None

    def whole(self) -> nn.Module:
        """From the config to values."""
        model = self.build()
        tritoninit.materialize(model, "cpu", seed=0)
        return model

    def theirs(self) -> nn.Module:
        """The same by transformers itself."""
        model: nn.Module = self.auto.from_config(copy.deepcopy(self.config))
        return model


def check(held: Held) -> Plan:
    """Exit unless normals are the initializer's values for their names, and none is missing."""
    model = held.build()
    plan = tritoninit.materialize(model, "cpu", seed=0)
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    checked = 0
    for fill in plan.fills:
        recipe = fill.writes[0].recipe
        if len(fill.writes) == 1 and isinstance(recipe, Normal) and fill.writes[0].key is not None:
            one = torch.empty(fill.shape)
            tritoninit.init.normal_(one, recipe.mean, recipe.std, generator=fill.writes[0].key)
            if not gate.same(tensors[fill.name], one):
                sys.exit(f"conformance gate failed, so nothing was timed: {fill.name}")
            checked += 1
    if not checked or any(tensor.is_meta for tensor in tensors.values()):
        sys.exit("conformance gate failed, so nothing was timed: a model is not filled")
    names = held.theirs().state_dict().keys()
    if names != model.state_dict().keys():
        sys.exit("transformers' model has other tensors, so nothing was timed")
    return plan


def main() -> None:
    """Check, time, print, and write the file."""
    options = common.parser("transformers' models from a config").parse_args()
    device = common.apply(options)
    if device.type != "cpu":
        sys.exit("transformers' from_config fills on the CPU; pass --device cpu")
    transformers.utils.logging.set_verbosity_error()
    facts = common.environment(device)
    print(common.describe(facts))
    results = []
    for name, (config, auto, arguments) in CONFIGS.items():
        made = getattr(transformers, config)(**arguments, **(QUICK if options.quick else {}))
        held = Held(getattr(transformers, auto), made)
        plan = check(held)
        timings = interleave(
            [
                Contestant("record() and materialize", held.whole),
                Contestant("materialize alone", held.fill, prepare=held.prepare),
                Contestant("transformers' from_config", held.theirs),
            ],
            device,
            options.quick,
        )
        label = f"{name}: {plan.numel / 1e6:.4g} M elements"
        theirs = timings["transformers' from_config"].median_s
        for contestant, timing in timings.items():
            print(
                f"{label:48}{contestant:28}{duration(timing.median_s):>10}"
                f"{theirs / timing.median_s:>8.2f}x  {timing.rounds} rounds",
                flush=True,
            )
        results.append({"case": label, "timings": as_json(timings)})
    common.write_json(
        options.json,
        {
            "benchmark": "transformers",
            "environment": facts,
            "quick": options.quick,
            "results": results,
        },
    )


if __name__ == "__main__":
    main()
