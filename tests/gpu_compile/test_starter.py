"""When Triton's launcher is asked at each launch, and when what it calls is called at once."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tritoninit.backends.triton_launch import starter

VALUES = [1, (2.0, 3.0), 4]
Handed = list[tuple[Any, ...]]


class Launcher:
    """A launcher as Triton's are: it hands its arguments on to an attribute of its own."""

    def __init__(self, handed: Handed, hand: Callable[..., Any]) -> None:
        self.asked: list[None] = []  # shared with copies
        self.launch = lambda *given: handed.append(given)
        self.signature = b"signature"
        self.hand = hand

    def __call__(self, *given: Any) -> None:
        self.asked.append(None)
        self.hand(self, *given)


def nested(self: Any, x: Any, y: Any, z: Any, stream: Any, function: Any, *rest: Any) -> None:
    known, values = rest[:4], rest[4:]
    self.launch(x, y, z, stream, function, False, *known, self.signature, values)


def flat(self: Any, x: Any, y: Any, z: Any, stream: Any, function: Any, *rest: Any) -> None:
    self.launch(x, y, z, stream, function, False, None, *rest)


def with_scratch(self: Any, x: Any, y: Any, z: Any, stream: Any, *rest: Any) -> None:
    self.launch(x, y, z, stream, *rest[:5], object(), rest[5:])


def by_size(self: Any, x: Any, *rest: Any) -> None:
    self.launch(x * 1, *rest[:8], rest[8:])


def with_another_argument(self: Any, x: Any, *rest: Any) -> None:
    self.launch(x, *rest[:8], (*rest[8:], 5))


def grid_last(self: Any, x: Any, y: Any, z: Any, *rest: Any) -> None:
    self.launch(*rest, x, y, z)


def twice(self: Any, *given: Any) -> None:
    self.launch(*given)
    self.launch(*given)


def made(hand: Callable[..., Any]) -> tuple[Launcher, Callable[..., None], Handed]:
    handed: Handed = []
    launcher = Launcher(handed, hand)
    compiled: Any = SimpleNamespace(run=launcher, function=9, packed_metadata=(4, 1, 0))
    start = starter(compiled, len(VALUES))
    assert handed == [], "nothing was launched to find out"
    launcher.asked.clear()
    return launcher, start, handed


@pytest.mark.parametrize("hand", [nested, flat])
def test_the_c_function_is_given_what_the_launcher_gives_it(hand: Callable[..., Any]) -> None:
    launcher, start, handed = made(hand)
    for programs in (1, 77):
        start(programs, 7, VALUES)
        assert launcher.asked == []
        launcher(programs, 1, 1, 7, 9, (4, 1, 0), None, None, None, *VALUES)
        launcher.asked.clear()
        ours, theirs = handed[-2:]
        assert ours == theirs
        assert list(map(type, ours)) == list(map(type, theirs))


@pytest.mark.parametrize("hand", [with_scratch, by_size, with_another_argument, grid_last, twice])
def test_a_launcher_that_does_more_is_asked_each_time(hand: Callable[..., Any]) -> None:
    launcher, start, handed = made(hand)
    start(3, 7, VALUES)
    assert len(launcher.asked) == 1
    ours = list(handed)
    handed.clear()
    launcher(3, 1, 1, 7, 9, (4, 1, 0), None, None, None, *VALUES)
    assert len(ours) == len(handed)


def test_a_launcher_without_such_an_attribute_is_asked_each_time() -> None:
    asked: Handed = []
    compiled: Any = SimpleNamespace(
        run=lambda *given: asked.append(given), function=9, packed_metadata=()
    )
    start = starter(compiled, len(VALUES))
    start(3, 7, VALUES)
    assert asked == [(3, 1, 1, 7, 9, (), None, None, None, *VALUES)]
