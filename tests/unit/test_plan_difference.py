"""What two plans differ in."""

from tests.unit.test_plan import make_fill
from tritoninit import Key
from tritoninit import plan as plan_of
from tritoninit.demo_model import build
from tritoninit.plan import Plan, View, Write
from tritoninit.plan.difference import FIELDS
from tritoninit.recipe import Constant, Normal


def test_a_plan_does_not_differ_from_itself_read_back():
    made = plan_of(build(64, 2), 3)
    found = made.diff(Plan.from_json(made.to_json()))
    assert not found
    assert str(found) == "no difference"


def test_another_seed_changes_the_keys_of_what_is_random():
    found = plan_of(build(64, 2), 3).diff(plan_of(build(64, 2), 4))
    assert (found.only_here, found.only_there) == ((), ())
    assert "norm.weight" not in found.changed
    changes = found.changed["layers.1.attention.wq.weight"]
    assert [change.what for change in changes] == ["key"]
    assert changes[0].here == (Key(3).fold_in("layers.1.attention.wq.weight"),)


def test_names_that_one_plan_alone_has():
    found = plan_of(build(64, 2, True)).diff(plan_of(build(64, 3, False)))
    assert found.only_here == ()
    assert "layers.2.attention.wo.weight" in found.only_there
    assert found.only_there[-1] == "head.weight"
    assert [c.what for c in found.changed["embedding.weight"]] == ["aliases"]
    assert "only there: head.weight" in str(found)
    assert "embedding.weight: aliases [head.weight], there []" in str(found)


def test_every_property_that_changes_is_named():
    normal = Write(Normal(0.0, 1.0), None, 0, Key(1))
    here = Plan(Key(0), (make_fill(normal), make_fill(name="same"), make_fill(name="gone")))
    there = Plan(
        Key(0),
        (
            make_fill(normal, Write(Constant(0), View((6,), (1,), 6)), shape=(6, 4)),
            make_fill(name="same"),
        ),
    )
    found = here.diff(there)
    assert found
    assert found.only_here == ("gone",)
    assert [change.what for change in found.changed["w"]] == ["shape", "strides", "recipe"]
    assert "w: shape [4, 6], there [6, 4]; strides [6, 1], there [4, 1]; recipe normal" in str(
        found
    )
    assert list(found.changed) == ["w"]


def test_all_that_an_entry_holds_is_compared_but_where_it_comes_from():
    others = {"name", "itemsize", "writes", "origin"}
    assert set(type(make_fill()).__dataclass_fields__) == {*FIELDS, *others}
