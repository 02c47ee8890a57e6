"""The list of mutants keeps up with the code; ``python -m tests.mutation`` runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutation import models, values

MUTANTS = [*values.MUTANTS, *models.MUTANTS]
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_the_fault_can_be_put_in(mutant):
    text = (ROOT / mutant.file).read_text()
    assert text.count(mutant.old) == 1
    assert mutant.new != mutant.old
    for name in mutant.tests.split():
        assert (ROOT / name).is_file()


def test_there_are_enough_and_no_two_the_same():
    assert len(MUTANTS) >= 40
    assert len({mutant.what for mutant in MUTANTS}) == len(MUTANTS)
    assert len({(mutant.file, mutant.old, mutant.new) for mutant in MUTANTS}) == len(MUTANTS)
