"""Checkpoints of transformers models are loaded by from_pretrained as they are."""

import json
import logging

import pytest
import torch

from tests.unit.models import assert_equal
from tests.unit.stored import stored_values
from tests.unit.test_spec import LLAMA
from tritoninit.adapters.transformers import config_for
from tritoninit.cli import main

SMALL = {name: value for name, value in LLAMA.items() if name != "num_key_value_heads"}
MODELS = {
    "LlamaForCausalLM": {**LLAMA, "tie_word_embeddings": True},
    "MixtralForCausalLM": {**LLAMA, "model_type": "mixtral", "num_local_experts": 4},
    "ViTForImageClassification": {
        **SMALL,
        "model_type": "vit",
        "image_size": 16,
        "patch_size": 8,
    },
    "T5ForConditionalGeneration": {
        "model_type": "t5",
        "d_model": 16,
        "d_ff": 24,
        "d_kv": 4,
        "num_layers": 2,
        "num_heads": 4,
        "vocab_size": 32,
    },
    "GPT2LMHeadModel": {
        "model_type": "gpt2",
        "n_embd": 16,
        "n_layer": 2,
        "n_head": 4,
        "vocab_size": 32,
        "bos_token_id": 0,
        "eos_token_id": 0,
    },
    "ResNetForImageClassification": {
        "model_type": "resnet",
        "embedding_size": 4,
        "hidden_sizes": [4, 8],
        "depths": [1, 1],
    },
}


def config_folder(folder, architecture, **entries):
    folder.mkdir()
    document = {"architectures": [architecture], **MODELS[architecture], **entries}
    (folder / "config.json").write_text(json.dumps(document))
    return str(folder)


@pytest.fixture
def quiet():
    """Loading draws bars and logs; neither is looked at here."""
    from transformers.utils import logging as their

    their.disable_progress_bar()
    their.set_verbosity(logging.ERROR)
    yield
    their.enable_progress_bar()


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("dtype", [None, "bfloat16"])
@pytest.mark.parametrize("architecture", MODELS)
def test_from_pretrained_loads_what_init_wrote(architecture, dtype, tmp_path, capsys):
    import transformers

    source = config_folder(tmp_path / "config", architecture)
    out = str(tmp_path / "out")
    options = ["--seed", "3", *(["--dtype", dtype] if dtype else [])]
    assert main(["init", source, "--out", out, "--max-shard-size", "1KB", *options]) == 0
    assert main(["verify", source, out, *options]) == 0
    assert capsys.readouterr().err == ""
    assert len(list((tmp_path / "out").glob("*.safetensors"))) > 1
    loaded, told = getattr(transformers, architecture).from_pretrained(
        out, output_loading_info=True
    )
    assert not any(told.values()), told
    state = loaded.state_dict()
    written = stored_values(out)
    assert_equal({name: state[name] for name in written}, written)
    assert loaded.dtype == (getattr(torch, dtype) if dtype else torch.float32)
    assert not any(value.is_meta for value in state.values())
    # The names that transformers itself saves, ties included.
    loaded.save_pretrained(tmp_path / "saved")
    assert stored_values(tmp_path / "saved").keys() == written.keys()
    assert main(["verify", source, str(tmp_path / "saved"), *options]) == 0


def test_a_tie_is_stored_under_the_name_that_the_others_are_tied_to(tmp_path):
    source = config_folder(tmp_path / "config", "LlamaForCausalLM")
    assert main(["init", source, "--out", str(tmp_path / "out")]) == 0
    names = stored_values(tmp_path / "out").keys()
    assert "model.embed_tokens.weight" in names
    assert "lm_head.weight" not in names


def test_the_config_is_copied_unless_its_dtype_changes(tmp_path):
    source = tmp_path / "config" / "config.json"
    config_folder(tmp_path / "config", "LlamaForCausalLM", torch_dtype="float16", note="ü")
    data = source.read_bytes()
    assert config_for(source, None) == config_for(source, "float16") == data
    changed = json.loads(config_for(source, "bfloat16"))
    expected = {**json.loads(data), "dtype": "bfloat16"}
    del expected["torch_dtype"]
    assert changed == expected


def test_the_folder_of_the_config_can_take_the_weights(tmp_path, capsys):
    source = config_folder(tmp_path / "model", "LlamaForCausalLM")
    config = (tmp_path / "model" / "config.json").read_bytes()
    assert main(["init", source, "--out", source, "--dtype", "bfloat16"]) == 2
    assert "config.json differs from the config of this model" in capsys.readouterr().err
    assert main(["init", source, "--out", source]) == 0
    assert (tmp_path / "model" / "config.json").read_bytes() == config
    assert main(["verify", source, source]) == 0
