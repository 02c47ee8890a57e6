"""Models built under record(), and what their plans say."""

from torch import nn

import tritoninit
from tritoninit.plan import Plan
from tritoninit.stream import parameter_key


def recorded(build):
    with tritoninit.record():
        return build()


def model_of(**tensors):
    """A module whose constructor computes these parameters and buffers."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            for name, make in tensors.items():
                made = make()
                if isinstance(made, nn.Parameter):
                    self.register_parameter(name, made)
                else:
                    self.register_buffer(name, made, persistent=False)

    return Model


def filled(**tensors):
    model = recorded(model_of(**tensors))
    plan = tritoninit.materialize(model, "cpu")
    assert Plan.from_json(plan.to_json()) == plan
    return model, plan


def recipes(plan, name):
    (fill,) = (fill for fill in plan.fills if fill.name == name)
    return [write.recipe for write in fill.writes]


def key(name, draw=0):
    return parameter_key(0, name, draw)
