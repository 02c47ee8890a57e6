"""Plans as values, and the coverage that decides which writes they keep."""

import itertools
import math
import random

import numpy as np
import pytest

from tritoninit import Key
from tritoninit.plan import Apply, Copy, Fill, Plan, View, Write
from tritoninit.recipe import (
    Constant,
    Dirac,
    Eye,
    Normal,
    Orthogonal,
    Sparse,
    TruncNormal,
    Uniform,
)
from tritoninit.recording.coverage import FEW, MAX_RUNS, Span, needed, runs_of
from tritoninit.recording.resolve import inside
from tritoninit.stream import STREAM_VERSION


def make_fill(*writes: Write, name: str = "w", shape: tuple[int, ...] = (4, 6)) -> Fill:
    strides = tuple(math.prod(shape[d + 1 :]) for d in range(len(shape)))
    return Fill(name, (), "parameter", shape, strides, "float32", 4, writes, "test")


RECIPES = [
    Uniform(-0.5, 0.5),
    Normal(0.0, 0.02),
    TruncNormal(0.0, 1.0, -math.inf, 2.0),
    Constant(1),
    Constant(math.inf),
    Constant(-math.inf),
    Constant(1.5 - 2j),
    Constant(complex(math.inf, 0)),
    Constant(2**60 + 1),
    Eye(),
    Dirac(2),
    Sparse(0.25, 0.01),
    Orthogonal(2.0),
    Copy((4, 6), "float64", "00ff"),
    Apply("clamp_.default", (None, 2.0)),
    Apply("add_.Tensor", (1,), (("alpha", 2),)),
    Apply("div_.Tensor_mode", (3.0,), (("rounding_mode", "floor"),)),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_json_gives_the_plan_back(recipe):
    view = View((6, 2), (1, 6), 3)
    plan = Plan(
        Key(2**64 - 1, 7),
        (make_fill(Write(recipe, None, 0, Key(1, 2)), Write(recipe, view)), make_fill(name="b")),
    )
    back = Plan.from_json(plan.to_json())
    assert back == plan
    assert repr(back) == repr(plan)


def test_plans_differ_where_a_write_does():
    plan = Plan(Key(0), (make_fill(Write(Normal(0.0, 1.0), None, 0, Key(0))),))
    others = [
        Plan(Key(1), plan.fills),
        Plan(Key(0), (make_fill(Write(Normal(0.0, 2.0), None, 0, Key(0))),)),
        Plan(Key(0), (make_fill(Write(Normal(0.0, 1.0), None, 0, Key(1))),)),
        Plan(Key(0), (make_fill(Write(Normal(0.0, 1.0), View((4, 6), (6, 1), 0), 0, Key(0))),)),
        Plan(Key(0), (make_fill(Write(Normal(0.0, 1.0), None, 0, Key(0)), name="v"),)),
    ]
    assert all(other != plan for other in others)


def test_a_plan_of_another_stream_version_is_refused():
    text = Plan(Key(0), ()).to_json().replace(f": {STREAM_VERSION}", f": {STREAM_VERSION + 1}", 1)
    with pytest.raises(ValueError, match=f"stream version {STREAM_VERSION + 1}"):
        Plan.from_json(text)


def test_the_table_shows_every_fill_and_the_totals():
    tied = Fill(
        *("embed.weight", ("head.weight",), "parameter", (512, 8), (8, 1), "bfloat16", 2),
        (Write(Uniform(-3.0, 3.0), None, 0, Key(5)),),
        "test",
    )
    partial = make_fill(
        Write(Normal(0.0, 1.0), None, 0, Key(0)), Write(Constant(0), View((6,), (1,), 12))
    )
    heading, first, second, totals = str(Plan(Key(5), (tied, partial))).split("\n")
    assert heading.split() == ["name", "shape", "dtype", "recipe", "std", "bytes"]
    assert first.startswith("embed.weight = head.weight  [512, 8]  bfloat16  uniform(a=-3, b=3)")
    assert first.split()[-2:] == [f"{math.sqrt(3):.6g}", "8,192"]
    assert "normal(mean=0, std=1), constant(value=0) on [6] at 12 by [1]" in second
    assert second.split()[-2:] == ["-", "96"]
    assert totals.startswith("2 tensors, 4,120 elements, 8.09 KiB, Key(seed=0x5, offset=0x0)")


def places(view: View) -> set[int]:
    """Every place of a view, one by one."""
    steps = (range(n) for n in view.shape)
    return {
        view.offset + sum(i * s for i, s in zip(index, view.strides, strict=True))
        for index in itertools.product(*steps)
    }


VIEWS = [
    View((4, 6), (6, 1), 0),
    View((6, 4), (1, 6), 0),
    View((2, 6), (6, 1), 12),
    View((4,), (6,), 5),
    View((4, 3), (6, 2), 1),
    View((4,), (7,), 0),
    View((10,), (1,), 3),
    View((), (), 23),
    View((0, 6), (6, 1), 0),
    View((2, 2, 3), (12, 3, 1), 0),
    View((1, 6), (24, 1), 6),
]


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_runs_are_the_places_of_a_view(view):
    runs = runs_of(view)
    listed = [p for a, b in zip(runs.starts, runs.ends, strict=True) for p in range(a, b)]
    assert listed == sorted(places(view))
    assert runs.size == len(listed)


def test_needed_agrees_with_painting_element_by_element():
    choice = random.Random(0)
    whole = VIEWS[0]
    outcomes = set()
    for _ in range(500):
        spans = [
            Span(choice.choice(VIEWS), choice.random() < 0.7)
            for _ in range(choice.randrange(choice.choice((7, 3 * FEW))))
        ]
        live, kept = places(whole), []
        for index in reversed(range(len(spans))):
            view, overwrites = spans[index]
            if places(view) & live:
                kept.insert(0, index)
                if overwrites:
                    live -= places(view)
        assert needed(whole, spans) == (kept, len(live))
        outcomes.add((len(kept) < len(spans), bool(live)))
    assert len(outcomes) == 4  # dropped or not, covered or not


def test_a_large_tensor_costs_as_many_runs_as_it_is_cut_into():
    half = 1 << 40
    whole = View((2, half), (half, 1), 0)
    spans = [Span(View((1, half), (half, 1), half * i), True) for i in range(2)]
    assert needed(whole, spans) == ([0, 1], 0)
    column = runs_of(View((1000,), (half,), 3))
    np.testing.assert_array_equal(column.starts, 3 + half * np.arange(1000))


def test_views_lie_in_one_another():
    for view, whole in itertools.product(VIEWS, VIEWS):
        assert inside(view, whole) == (places(view) <= places(whole)), (view, whole)


def test_more_runs_than_can_be_followed_are_refused():
    with pytest.raises(ValueError, match=f"at most {MAX_RUNS}"):
        runs_of(View((MAX_RUNS + 1,), (2,), 0))
