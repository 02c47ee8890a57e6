"""Every initializer with arguments that are valid, and what a call of one comes to."""

import torch

from tritoninit import init

RANDOM = {
    **dict.fromkeys(["uniform_", "normal_", "trunc_normal_", "orthogonal_"], ()),
    **dict.fromkeys(["xavier_uniform_", "xavier_normal_"], ()),
    **dict.fromkeys(["kaiming_uniform_", "kaiming_normal_"], ()),
    "sparse_": (0.5,),
}
CONSTANT = {"constant_": (0.5,), "ones_": (), "zeros_": ()}
PATTERN = {"eye_": (), "dirac_": ()}
COMPUTED = {**RANDOM, **PATTERN}  # by kernels; the constants are torch's own fill_ and zero_
ALL = {**COMPUTED, **CONSTANT}


def shape_for(name):
    return (4, 3, 2) if name == "dirac_" else (4, 3)


def call(name, tensor, module=init, **kwargs):
    return getattr(module, name)(tensor, *ALL[name], **kwargs)


def outcome(function):
    """("ok", result), or the type and the text of the error."""
    try:
        return "ok", function()
    except Exception as error:
        return type(error), str(error)


def bits(tensor):
    """The bytes of the tensor's memory, whatever its dtype."""
    return bytes(torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage()).tolist())
