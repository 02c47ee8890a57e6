"""What is wrong in a plan's JSON is an error that names the field, the value and what may be."""

import json
from dataclasses import fields

import pytest

from tritoninit import Key
from tritoninit.plan import Fill, Left, Plan, View, Write
from tritoninit.plan.compute import Call, Operand, Step, Symbol
from tritoninit.plan.reading import RECIPES, _reader
from tritoninit.recipe import Recipe, TruncNormal
from tritoninit.sharding import Sharding, Split
from tritoninit.stream import STREAM_VERSION

WRITE = Write(TruncNormal(0.0, 1.0, -2.0, 2.0), View((4, 6), (6, 1), 0), 0, Key(1))
SHARDING = Sharding((2, 2), (Split(0), None))
PLAN = Plan(
    Key(0),
    (Fill("w", ("v",), "parameter", (4, 6), (6, 1), "float32", 4, (WRITE,), "test", SHARDING),),
    (Left("b", (), "buffer", (4,), (1,), "float32", 4, (), "skipped"),),
)


def edited(*path, value=None, remove=False, add=None):
    document = json.loads(PLAN.to_json())
    at = document
    for step in path[:-1]:
        at = at[step]
    if remove:
        del at[path[-1]]
    else:
        at[add or path[-1]] = value
    return json.dumps(document)


def test_the_plan_is_read_where_nothing_is_edited():
    assert Plan.from_json(edited("fills", 0, "origin", value="test")) == PLAN


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "a plan must be JSON: Expecting value"),
        ("[1]", r"a plan must be an object of JSON, got \[1\]"),
        ("{}", "a plan must have a field 'stream_version', this one lacks it"),
        (
            json.dumps({"stream_version": STREAM_VERSION}),
            r"must have the fields \['stream_version', 'key', 'fills', 'left'\],"
            r" this one lacks \['key', 'fills', 'left'\]",
        ),
        (edited("stream_version", value="0"), 'stream_version must be an integer, got "0"'),
        (edited("stream_version", value=99), "the plan is of stream version 99, this is"),
        (edited("key", value=[1]), r"key must be a list of 2, got \[1\]"),
        (edited("key", value=[1, 2**64]), "^key: "),
        (edited("fills", value={}), "fills must be a list, got {}"),
        (edited("fills", 0, value=3), r"fills\[0\] must be an object of JSON, got 3"),
        (edited("fills", 0, "name", remove=True), r"fills\[0\] must .* this one lacks \['name'\]"),
        (
            edited("fills", 0, "name", add="colour", value=1),
            r"fills\[0\] must have the fields \['name', .* this one has \['colour'\]",
        ),
        (edited("fills", 0, "itemsize", value=True), r"fills\[0\].itemsize must be an integer"),
        (edited("fills", 0, "shape", value="46"), r'fills\[0\].shape must be a list, got "46"'),
        (
            edited("fills", 0, "shape", value=[4, 6.5]),
            r"fills\[0\].shape\[1\] must be an integer, got 6.5",
        ),
        (edited("left", 0, "dtype", value=None), r"left\[0\].dtype must be a string, got null"),
        (
            edited("fills", 0, "writes", 0, "recipe", "recipe", value="Cauchy"),
            r"fills\[0\].writes\[0\].recipe must be .* one of \['Uniform', 'Normal',",
        ),
        (
            edited("fills", 0, "writes", 0, "recipe", "std", value="1"),
            r'fills\[0\].writes\[0\].recipe.std must be a number or .*, got "1"',
        ),
        (
            edited("fills", 0, "writes", 0, "recipe", "a", value={"float": "two"}),
            r'recipe.a must be a number or .*, got {"float": "two"}',
        ),
        (
            edited("fills", 0, "writes", 0, "recipe", "std", value=-1.0),
            r"fills\[0\].writes\[0\].recipe: trunc_normal_ expects a finite std > 0, got std=-1.0",
        ),
        (edited("fills", 0, "writes", 0, "view", "offset", value="0"), "view.offset must be an"),
        (edited("fills", 0, "sharding", "mesh", value=[2]), r"\].sharding: placements must"),
        (
            edited("fills", 0, "sharding", "placements", 0, value=[0]),
            r"sharding.placements\[0\] must be a list of 2, got \[0\]",
        ),
        (edited("fills", 0, "origin", value=["x" * 100]), r'must be a string, got \["x+\.\.\.'),
    ],
)
def test_what_is_wrong_is_named(text, error):
    with pytest.raises(ValueError, match=error):
        Plan.from_json(text)


@pytest.mark.parametrize(
    "cls", [Fill, Left, Write, View, Sharding, Call, Operand, Step, Symbol, *RECIPES.values()]
)
def test_every_field_has_a_reader(cls):
    assert all(callable(_reader(str(field.type))) for field in fields(cls))


def test_every_recipe_can_be_read():
    subclasses = (cls for cls in Recipe.__subclasses__() if cls.__module__.startswith("tritoninit"))
    assert {name for cls in subclasses if (name := cls.__name__)[0] != "_"} == set(RECIPES)
