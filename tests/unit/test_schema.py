"""What is read of torch's schemas."""

import pytest
import torch

from tritoninit.recording.schema import schema_of

aten = torch.ops.aten


@pytest.mark.parametrize(
    ("func", "text", "is_random", "changes_view", "views", "aliases"),
    [
        (aten.zero_.default, "zero_.default", False, False, True, True),
        (aten.mul_.Tensor, "mul_.Tensor", False, False, True, True),
        (aten.mul.Tensor, "mul.Tensor", False, False, False, False),
        (aten.normal_.default, "normal_.default", True, False, True, True),
        (aten.randn.default, "randn.default", True, False, False, False),
        (aten.t_.default, "t_.default", False, True, True, True),
        (aten.select.int, "select.int", False, False, True, True),
        (aten.split.Tensor, "split.Tensor", False, False, True, True),
        (aten.sort.values, "sort.values", False, False, True, True),
        (aten._assert_async.default, "_assert_async.default", False, False, False, False),
    ],
    ids=str,
)
def test_an_operation(func, text, is_random, changes_view, views, aliases):
    schema = schema_of(func)
    assert schema.text == f"{schema.name}.{schema.overload}" == text
    assert schema.packet == func.overloadpacket.__name__
    assert (schema.is_random, schema.changes_view) == (is_random, changes_view)
    assert (schema.views, schema.aliases) == (views, aliases)


def test_arguments_that_are_written_and_read():
    a, b, out = (torch.empty(2, device="meta") for _ in range(3))
    split = schema_of(aten.add.out).split((a, b), {"out": out})
    assert [[id(t) for t in tensors] for tensors in split] == [[id(out)], [id(a), id(b)]]
    split = schema_of(aten.cat.default).split(([a, b],), {})
    assert [[id(t) for t in tensors] for tensors in split] == [[], [id(a), id(b)]]
    split = schema_of(aten.copy_.default).split((a, b), {})
    assert [[id(t) for t in tensors] for tensors in split] == [[id(a)], [id(b)]]


def test_operations_of_others_are_read_as_well():
    with torch.library._scoped_library("tritoninit_test", "DEF") as library:
        library.define("twice(Tensor x) -> Tensor")
        schema = schema_of(torch.ops.tritoninit_test.twice.default)
        assert (schema.name, schema.packet) == ("tritoninit_test", "twice")
