"""The spectrum of a model's initial values: every tensor's standard deviation against its depth."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from tritoninit.checkpoint.contents import Contents, Stored
from tritoninit.checkpoint.pieces import Pieces

SAMPLED = 1 << 20  # elements of a tensor that are measured: a normal's std is known to 0.07%
LABELLED = 4  # names in one line of the legend
NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


class Point(NamedTuple):
    """One tensor: what it is called without numbers, its layer, and its standard deviations.

    ``layer`` is None outside of layers; ``expected`` None where the plan alone does not say.
    """

    role: str
    layer: int | None
    expected: float | None
    measured: float


def spectrum(contents: Contents) -> tuple[list[Point], int]:
    """(the tensors that are not constant, how many are).

    Measured on the first 2**20 elements of a tensor, of which no more are computed.
    """
    pieces = Pieces(contents.sources, 4 * SAMPLED)
    points, constant = [], 0
    for stored in contents.tensors:
        if not stored.tensor.is_floating_point():
            continue
        measured = _measured(stored, pieces)
        if not measured > 0:
            constant += 1
            continue
        numbers = NUMBER.findall(stored.name)
        expected = None if stored.fill is None else stored.fill.std
        role = NUMBER.sub("*", stored.name).removesuffix(".weight")
        points.append(Point(role, int(numbers[0]) if numbers else None, expected, measured))
    return points, constant


def _measured(stored: Stored, pieces: Pieces) -> float:
    taken, left = [], SAMPLED
    for piece in pieces.of(stored):
        taken.append(piece.reshape(-1)[:left].double())
        left -= piece.numel()
        if left <= 0:
            break
    return float(torch.cat(taken).std(correction=0)) if taken else 0.0


def draw(contents: Contents, title: str, path: Path) -> None:
    """Draw the spectrum into a file, whose ending decides the format.

    Lines are the expected standard deviations and dots the measured ones.  Tensors of the same
    expected ones share a colour.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: matplotlib does not know the file's format.
    """
    from matplotlib.figure import Figure

    points, constant = spectrum(contents)
    layers = [point.layer for point in points if point.layer is not None]
    last = max(layers, default=0)
    margin = max(1.0, 0.07 * last)  # so that the labels of the ends do not meet those of layers
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.add_subplot()
    ends = -margin, last + margin
    before = {p.role for p in itertools.takewhile(lambda p: p.layer is None, points)}
    for number, (roles, group) in enumerate(_groups(points)):
        places = [(_place(point, before, ends), point) for point in group]
        _draw_group(axes, sorted(places, key=lambda p: p[0]), f"C{number % 10}", _label(roles))
    values = [point.measured for point in points]
    if values and max(values) > 3 * min(values):
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.1 * max(values, default=1.0))
    ticks = range(0, last + 1, max(1, last // 8)) if layers else range(0)
    axes.set_xticks([ends[0], *ticks, ends[1]], ["before", *map(str, ticks), "after"])
    axes.set_xlim(ends[0] - 0.6, ends[1] + 0.6)
    axes.set_xlabel("layer")
    axes.set_ylabel("standard deviation")
    axes.grid(alpha=0.3)
    axes.set_title(title, loc="left")
    note = "line: expected, dots: measured"
    if constant:
        note += f"; {constant} constant tensor{'s are' if constant > 1 else ' is'} not shown"
    axes.set_title(note, loc="right", fontsize="small")
    if points:
        figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    figure.savefig(path, dpi=150)


def _groups(points: list[Point]) -> list[tuple[list[str], list[Point]]]:
    """Roles of the same expected values in all layers, and their points."""
    members: dict[str, list[Point]] = defaultdict(list)
    for point in points:
        members[point.role].append(point)
    groups: dict[Any, list[str]] = defaultdict(list)
    for role, of_role in members.items():
        series = frozenset((point.layer, point.expected) for point in of_role)
        # Where nothing is expected there is nothing to have in common.
        groups[role if any(p.expected is None for p in of_role) else series].append(role)
    return [(roles, [p for role in roles for p in members[role]]) for roles in groups.values()]


def _place(point: Point, before: set[str], ends: tuple[float, float]) -> float:
    """The horizontal place: the layer, or the end before or behind all of them."""
    if point.layer is not None:
        return point.layer
    return ends[0] if point.role in before else ends[1]


def _draw_group(axes: Any, places: list[tuple[float, Point]], colour: str, label: str) -> None:
    expected = sorted({(x, p.expected) for x, p in places if p.expected is not None})
    if expected:
        # A single layer has no line: a dash stands for it.
        style: dict[str, Any] = {"linewidth": 5} if len(expected) > 1 else {"marker": "_", "ms": 16}
        axes.plot(*zip(*expected, strict=True), color=colour, alpha=0.35, **style)
    measured = [p.measured for _, p in places]
    axes.plot([x for x, _ in places], measured, ".", color=colour, label=label, markersize=5)


def _label(roles: Iterable[str]) -> str:
    names = list(dict.fromkeys(role.split("*.")[-1] for role in roles))
    more = len(names) - LABELLED
    return ", ".join(names[:LABELLED]) + (f" and {more} more" if more > 0 else "")
