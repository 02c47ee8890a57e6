"""What transformers' init code expects of a model that has no values yet."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

# On a module or tensor: init code passes over it, because it holds values of a checkpoint.
FLAG = "_is_hf_initialized"
TIED = "all_tied_weights_keys"


def tied_later(modules: Iterable[nn.Module]) -> set[tuple[int, str]]:
    """Where tied tensors are that init code is to take for separate ones: (id of module, key).

    transformers initialises a model before it ties it, so that a tied tensor holds what its
    source is given.
    """
    found = set()
    inherits: dict[type[nn.Module], bool] = {}
    for module in modules:
        kind = type(module)
        if kind not in inherits:
            inherits[kind] = hasattr(kind, TIED)
        if not inherits[kind] and TIED not in vars(module):
            continue  # getattr would raise inside nn.Module.__getattr__, which takes 2 us
        tied = getattr(module, TIED)
        if not isinstance(tied, dict) or not hasattr(module, "initialize_weights"):
            continue
        for name, source in tied.items():
            owner, key = _slot(module, name)
            held, other = (getattr(m, k, None) for m, k in ((owner, key), _slot(module, source)))
            if owner is not None and held is not None and held is other:
                found.add((id(owner), key))
    return found


def _slot(module: nn.Module, name: str) -> tuple[nn.Module | None, str]:
    """The module below that holds a tensor, whatever wraps it, and the tensor's key there."""
    path, _, key = name.rpartition(".")
    try:
        return module.get_submodule(path), key
    except AttributeError:
        return None, key
