"""Keys of many names are those of each name."""

import pytest

from tritoninit.keys import FEW, parameter_keys
from tritoninit.stream import Key, parameter_key

ROOTS = [Key(0), Key(-1), Key(2**64 - 1, 2**64 - 1), Key(3).fold_in(5)]
NAMES = [f"layers.{i}.weight" for i in range(40)] + ["", "weight", "weight", "gewicht.ä", "_w"]


@pytest.mark.parametrize("root", ROOTS, ids=str)
@pytest.mark.parametrize("count", [0, 1, FEW, FEW + 1, len(NAMES)])
def test_each_name_has_its_own_key(root, count):
    assert parameter_keys(root, NAMES[:count]) == [parameter_key(root, n) for n in NAMES[:count]]


def test_the_words_are_plain_integers():
    key = parameter_keys(Key(0), NAMES)[-1]
    assert type(key.seed) is int
    assert type(key.offset) is int
