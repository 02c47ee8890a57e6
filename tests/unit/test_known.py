"""Calls that are known are those that write the same, and are recorded as the first was."""

import math
import warnings

import pytest
import torch
from torch import nn

import tritoninit
from tritoninit.recording.known import description

METHODS = {
    "normal_": lambda t: nn.init.normal_(t, std=0.02),
    "kaiming_uniform_": lambda t: nn.init.kaiming_uniform_(t, a=math.sqrt(5)),
    "trunc_normal_": lambda t: nn.init.trunc_normal_(tensor=t, std=0.1),
    "tritoninit": lambda t: tritoninit.init.xavier_uniform_(t),
    "sparse_": lambda t: nn.init.sparse_(t, 0.5),
    "eye_": nn.init.eye_,
}


def planned(init_fn, *shapes, dtype=torch.float32):
    """The recipes of parameters of these shapes, each given to ``init_fn``, and their keys."""
    model = nn.ParameterList(torch.empty(shape, dtype=dtype, device="meta") for shape in shapes)

    def init(module):
        for index, parameter in enumerate(module):
            init_fn(index, parameter)

    return [fill.writes for fill in tritoninit.plan(model, init_fn=init).fills]


@pytest.mark.parametrize("method", METHODS)
def test_a_known_call_is_recorded_as_the_first_one_was(method):
    shapes = [(4, 6), (4, 6), (6, 4), (4, 6), (6, 4)]
    together = planned(lambda _, tensor: METHODS[method](tensor), *shapes)
    for index, shape in enumerate(shapes):
        ((alone,),) = planned(lambda _, tensor: METHODS[method](tensor), shape)
        (write,) = together[index]
        assert (write.recipe, write.view, write.draw) == (alone.recipe, alone.view, alone.draw)
    keys = [write.key for (write,) in together if write.key]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("first", "second"), [(0.0, -0.0), (1, 1.0), (1, True), (0, False), (0.0, 0)], ids=str
)
def test_numbers_that_are_equal_and_not_the_same(first, second):
    values = [first, second, first, second]
    writes = planned(lambda index, tensor: nn.init.constant_(tensor, values[index]), *[(2, 2)] * 4)
    recipes = [str(write.recipe) for (write,) in writes]
    shown = [str(tritoninit.recipe.Constant(value)) for value in values]
    assert recipes == shown


def test_arguments_are_known_by_their_names():
    def init(index, tensor):
        names = [{"mean": 2.0}, {"std": 2.0}, {"mean": 2.0}, {"std": 2.0}][index]
        nn.init.normal_(tensor, **names)

    recipes = [str(write.recipe) for (write,) in planned(init, *[(2, 2)] * 4)]
    assert recipes == 2 * ["normal(mean=2, std=1)", "normal(mean=0, std=2)"]


def test_a_key_of_its_own_is_no_other_calls():
    keys = [tritoninit.Key(1), None, tritoninit.Key(2), None]
    writes = planned(
        lambda index, tensor: (
            nn.init.normal_(tensor, generator=keys[index])
            if keys[index] is None
            else tritoninit.init.normal_(tensor, generator=keys[index])
        ),
        *[(2, 2)] * 4,
    )
    found = [write.key for (write,) in writes]
    assert [found[0], found[2]] == [keys[0], keys[2]]
    assert found[1] != found[3]
    assert not {found[1], found[3]} & set(keys)


def test_a_call_that_is_an_error_is_one_every_time():
    failures = []

    def init(_, tensor):
        nn.init.normal_(tensor)
        try:
            nn.init.normal_(tensor, std=-1.0)
        except RuntimeError as error:
            failures.append(str(error))

    planned(init, (2, 2), (2, 2))
    assert len(failures) == 2


def test_every_call_on_no_elements_warns():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        planned(lambda _, tensor: nn.init.kaiming_uniform_(tensor), (0, 2), (0, 2))
    assert len(caught) == 2


def test_a_view_and_another_dtype_are_other_calls():
    def init(index, tensor):
        nn.init.zeros_(tensor)
        nn.init.normal_(tensor[1:] if index % 2 else tensor)

    writes = planned(init, *[(2, 2)] * 4)
    assert [len(each) for each in writes] == [1, 2, 1, 2]
    assert writes[1][1].view == writes[3][1].view != writes[0][0].view


def test_a_description_holds_all_that_a_recipe_depends_on():
    tensor = torch.empty(4, 6, device="meta")
    calls = [
        description("normal_", tensor, (tensor, 0.0, 1.0), {}),
        description("uniform_", tensor, (tensor, 0.0, 1.0), {}),
        description("normal_", tensor, (tensor, 0.0), {"std": 1.0}),
        description("normal_", tensor.double(), (tensor, 0.0, 1.0), {}),
        description("normal_", tensor.mT, (tensor, 0.0, 1.0), {}),
        description("normal_", tensor[:, :3], (tensor, 0.0, 1.0), {}),
        description("normal_", nn.Parameter(tensor), (tensor, 0.0, 1.0), {}),
        description("normal_", torch.empty(4, 6), (tensor, 0.0, 1.0), {}),
    ]
    assert len(set(calls)) == len(calls)
    assert None not in calls
    assert description("normal_", tensor, (tensor, torch.ones(())), {}) is None
    assert description("normal_", tensor, (tensor,), {"generator": torch.Generator()}) is None
