"""Calls of every initializer, and how to make them."""

from typing import NamedTuple

import torch

from tritoninit import init

FLOATS = (torch.float32, torch.bfloat16, torch.float64)
FIXED = ("constant_", "ones_", "zeros_", "eye_", "dirac_")
COMPLEX = (*FIXED, "uniform_", "normal_", "sparse_")


class Call(NamedTuple):
    """An initializer, the shape that it is called on, and its arguments after the tensor."""

    name: str
    shape: tuple[int, ...]
    args: tuple = ()

    @property
    def is_random(self):
        return self.name not in FIXED

    @property
    def dtypes(self):
        return (*FLOATS, torch.complex64) if self.name in COMPLEX else FLOATS

    def __call__(self, tensor, **kwargs):
        if not self.is_random:
            kwargs.pop("generator", None)
        return getattr(init, self.name)(tensor, *self.args, **kwargs)

    def whole(self, dtype=torch.float32, **kwargs):
        """The unsharded tensor."""
        return self(torch.full(self.shape, float("nan"), dtype=dtype), **kwargs)


CALLS = [
    Call("uniform_", (13, 7), (-1.0, 3.0)),
    Call("uniform_", (9,)),
    Call("normal_", (13, 7), (0.5, 2.0)),
    Call("normal_", (6, 5, 3)),
    Call("trunc_normal_", (13, 7), (0.0, 1.0, -1.0, 3.5)),
    Call("constant_", (13, 7), (0.3,)),
    Call("ones_", (13, 7)),
    Call("zeros_", (13, 7)),
    Call("eye_", (13, 7)),
    Call("eye_", (5, 16)),
    Call("dirac_", (12, 4, 3), (3,)),
    Call("dirac_", (8, 9, 3, 2), (2,)),
    Call("dirac_", (6, 3, 2, 2, 3)),
    Call("xavier_uniform_", (13, 7), (1.5,)),
    Call("xavier_normal_", (6, 5, 3)),
    Call("kaiming_uniform_", (13, 7), (5**0.5,)),
    Call("kaiming_uniform_", (8, 6, 3, 3), (0, "fan_out", "relu")),
    Call("kaiming_normal_", (13, 7), (0, "fan_out")),
    Call("orthogonal_", (5, 16), (2.0,)),
    Call("orthogonal_", (17, 6)),
    Call("orthogonal_", (8, 8)),
    Call("orthogonal_", (6, 4, 3)),
    Call("sparse_", (13, 7), (0.4,)),
    Call("sparse_", (8, 12), (0.1, 1.0)),
]
