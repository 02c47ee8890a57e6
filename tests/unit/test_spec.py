"""SPEC leads to a model on meta, or to an error that says what is wrong with it."""

import json
import sys

import pytest
import torch
from torch import nn

from tritoninit.cli.spec import SpecError, build

LLAMA = {
    "model_type": "llama",
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 32,
}
SOURCE = """
import torch
from torch import nn

class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 3)
        self.b = nn.Linear(3, 3)
        self.b.weight = self.a.weight
        self.register_buffer("steps", torch.zeros(2))
        self.register_buffer("count", torch.zeros(2, dtype=torch.int64))

def fails():
    raise KeyError("width")

class Space:
    build = staticmethod(lambda: nn.Linear(2, 2))

number = 3
listed = lambda: [nn.Linear(2, 2)]
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module in the working directory, which is not on sys.path."""
    (tmp_path / "spec_example.py").write_text(SOURCE)
    (tmp_path / "spec_broken.py").write_text("import spec_absent\n")
    (tmp_path / "spec_wrong.py").write_text("x = 1\ny = x / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield "spec_example"
    for name in ("spec_example", "spec_broken", "spec_wrong"):
        sys.modules.pop(name, None)


@pytest.fixture
def config(tmp_path):
    def write(**entries):
        path = tmp_path / "model"
        path.mkdir(exist_ok=True)
        (path / "config.json").write_text(json.dumps({**LLAMA, **entries}))
        return path

    return write


def test_a_callable_builds_on_meta(module):
    model, path = build(f"{module}:Tied")
    assert path is None
    assert {t.device.type for t in (*model.parameters(), *model.buffers())} == {"meta"}
    assert isinstance(build(f"{module}:Space.build").model, nn.Linear)


def test_a_callable_builds_the_model_in_its_own_dtypes(module):
    model, _ = build(f"{module}:Tied", torch.bfloat16)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert model.a.weight is model.b.weight
    assert (model.steps.dtype, model.count.dtype) == (torch.float32, torch.int64)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("spec_nothing:build", "there is no module 'spec_nothing'; SPEC is module:function"),
        ("spec_example.inner:build", "there is no module 'spec_example.inner'"),
        ("spec_example:nothing", "spec_example has no nothing"),
        ("spec_example:number", "spec_example:number is a int, not a function"),
        ("spec_example:listed", "returned a list, not a torch.nn.Module"),
        ("spec_example:fails", r"raised KeyError: 'width' at .*spec_example\.py:15"),
        ("spec_broken:build", "importing spec_broken raised ModuleNotFoundError.*spec_absent"),
        ("spec_wrong:build", r"raised ZeroDivisionError: division by zero at .*spec_wrong\.py:2"),
        ("spec_example", "there is no file or folder 'spec_example'"),
        (":build", "there is no file or folder ':build'"),
        ("spec_example:", "there is no file or folder"),
        ("/nowhere/config.json", "there is no file or folder '/nowhere/config.json'; SPEC is"),
    ],
)
@pytest.mark.usefixtures("module")
def test_what_does_not_lead_to_a_model(name, message):
    with pytest.raises(SpecError, match=message):
        build(name)


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_a_config_is_enough(config, dtype):
    folder = config(architectures=["LlamaForCausalLM"], tie_word_embeddings=True)
    for place in (folder, folder / "config.json"):
        model, path = build(str(place), dtype)
        assert path == folder / "config.json"
        assert type(model).__name__ == "LlamaForCausalLM"
        assert model.lm_head.weight is model.model.embed_tokens.weight
        assert {p.device.type for p in model.parameters()} == {"meta"}
        assert {p.dtype for p in model.parameters()} == {dtype or torch.float32}


def test_the_dtype_of_a_config_counts(config):
    model, _ = build(str(config(dtype="float16", architectures=["LlamaModel"])))
    assert type(model).__name__ == "LlamaModel"
    assert {p.dtype for p in model.parameters()} == {torch.float16}


@pytest.mark.parametrize(
    ("entries", "architecture"),
    [
        ({}, "LlamaForCausalLM"),
        ({"model_type": "bert"}, "BertForPreTraining"),
        ({"model_type": "siglip_vision_model", "num_key_value_heads": None}, "SiglipVisionModel"),
    ],
)
def test_without_architectures_the_one_that_is_trained_first(config, entries, architecture):
    model, _ = build(str(config(**entries)))
    assert type(model).__name__ == architecture


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"model_type": None}, "transformers cannot read"),
        ({"model_type": "nothing"}, "transformers cannot read .*nothing"),
        ({"architectures": ["Mine"]}, "names the architecture Mine, which transformers"),
        ({"quantization_config": {"quant_method": "fp8"}}, '"quantization_config"; initial'),
    ],
)
def test_configs_that_build_nothing(config, entries, message):
    with pytest.raises(SpecError, match=message):
        build(str(config(**entries)))


def test_files_that_are_no_configs(tmp_path):
    with pytest.raises(SpecError, match=r"there is no .*config\.json; SPEC is"):
        build(str(tmp_path))
    path = tmp_path / "other.json"
    for text, message in [("{", "is not JSON"), ("[]", "no config of"), ("{}", "no config of")]:
        path.write_text(text)
        with pytest.raises(SpecError, match=message):
            build(str(path))


def test_without_transformers_it_is_asked_for(config, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(SpecError, match=r"needs the transformers library: install tritoninit\[hf"):
        build(str(config()))
