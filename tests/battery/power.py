"""Which broken sampler each test rejects, at small sizes.

The same is checked by ``tests/statistics/test_battery.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.battery import broken_structure, broken_values
from tests.battery.broken import GENERATORS
from tests.battery.word_tests import TESTS, Words

REJECTED = 1e-7  # about the threshold of a full run; see policy.py
WORDS = 1 << 19


@dataclass(frozen=True)
class Power:
    """A broken sampler and the p-values of the tests that it was given to."""

    group: str
    broken: str
    found: dict[str, float]

    @property
    def rejecting(self) -> list[str]:
        return [test for test, p in self.found.items() if p < REJECTED]


def of_words(make: Callable[[int], Words]) -> dict[str, float]:
    """All word tests of a broken generator."""
    words = make(WORDS)
    return {name: test(words) for name, test in TESTS.items()}


GROUPS: dict[str, dict[str, Callable[[], dict[str, float]]]] = {
    "words": {name: lambda make=make: of_words(make) for name, make in GENERATORS.items()},
    "values": broken_values.VALUES,
    "correlations": broken_structure.CORRELATION,
    "masks": broken_structure.MASKS,
    "haar": broken_structure.HAAR,
}


def power(group: str) -> list[Power]:
    """Every broken sampler of a group."""
    return [Power(group, name, run()) for name, run in GROUPS[group].items()]


def without_power(powers: list[Power]) -> list[str]:
    """Tests that reject none of the broken samplers that they were given."""
    given = {test for one in powers for test in one.found}
    return sorted(given - {test for one in powers for test in one.rejecting})
