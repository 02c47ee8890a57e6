"""Very different architectures of transformers, from small configs."""

import copy
import functools

from benchmarks.transformers_models import architectures, buildable

AUDIO = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "conv_dim": (16,) * 7,
    "num_conv_pos_embedding_groups": 4,
}
STAGES = {"depths": [1, 1], "hidden_sizes": [16, 24]}
GIVEN = {
    "wav2vec2": AUDIO,
    "hubert": AUDIO,
    "mamba2": {
        "hidden_size": 64,
        "num_heads": 8,
        "head_dim": 16,
        "n_groups": 2,
        "state_size": 8,
        "num_hidden_layers": 2,
        "vocab_size": 96,
    },
    "resnet": {**STAGES, "embedding_size": 16},
    "convnext": {**STAGES, "num_stages": 2},
    "swin": {"embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2]},
    "vits": {
        "hidden_size": 24,
        "ffn_dim": 32,
        "flow_size": 24,
        "spectrogram_bins": 17,
        "upsample_initial_channel": 32,
        "num_hidden_layers": 2,
        "wavenet_dilation_rate": 1,
        "prior_encoder_num_wavenet_layers": 2,
        "prior_encoder_num_flows": 2,
    },
}
KINDS = sorted(
    {
        *("llama", "mixtral", "gemma", "gemma3_text", "qwen3_moe", "qwen3_next", "deepseek_v3"),
        *("gpt_oss", "gpt2", "gpt_neox", "bert", "t5", "bart", "vit", "detr", "siglip", "clip"),
        *("mamba", "mamba2", "jamba", "falcon_h1", "rwkv", "xlstm", "recurrent_gemma", "whisper"),
        *("wav2vec2", "hubert", "vits", "resnet", "convnext", "swin", "albert", "deberta-v2"),
        *("big_bird", "esm", "apertus", "bloom", "blip-2", "flaubert", "modernbert", "dinov2"),
        *("sam", "bamba", "lfm2", "granitemoe", "electra"),
    }
)


@functools.cache
def _found(kind):
    ((_, config_class, classes),) = architectures([kind])
    if GIVEN.get(kind):
        return classes[0], config_class(**GIVEN[kind])
    cls, config, _ = buildable(config_class, classes)
    return cls, config


def build(kind):
    """The architecture, on the default device."""
    cls, config = _found(kind)
    return cls(copy.deepcopy(config))
