"""The names of tensors, whatever wraps the modules that hold them."""

from __future__ import annotations

# Attributes under which FSDP1, activation checkpointing and torch.compile keep what they wrap.
WRAPPERS = frozenset({"_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_orig_mod"})


def canonical_name(name: str) -> str:
    """The name without the wrappers' prefixes, wherever in the path they are.

    >>> canonical_name("_orig_mod.layers.0._checkpoint_wrapped_module.weight")
    'layers.0.weight'
    """
    if "._" not in name and not name.startswith("_"):
        return name  # nearly every one
    *path, last = name.split(".")
    return ".".join([*(part for part in path if part not in WRAPPERS), last])
